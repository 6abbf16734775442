// The NEON kernels against their naive twins, on a processor that an emulator imitates: what the Swift tests do with
// the kernels of the machine they run on. `run` compiles this for that machine, where it only records results that must
// be the same on all processors, and for arm64, where it tests.
//
//     kernels record FILE
//     kernels test FILE with-dot-product | without-dot-product
//
// Exits with 1 if anything differs, after the first differences of each check.
#include "support.h"

#include "owl2_block_kernels.h"
#include "owl2_limits.h"
#include "owl2_quantize.h"
#include "prepared.h"

typedef struct {
    size_t m, n, k;
} product_size;

static const owl2_kernels *const twin = &owl2_kernels_reference;
static const owl2_block_kernels *const block_twin = &owl2_block_kernels_reference;
static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 16, 31, 64, 100, 1025};

// ---------------------------------------------------------------- kernels.inc

static void check_product(const owl2_kernels *kernels, owl2_type type, product_size size) {
    const size_t m = size.m, n = size.n, k = size.k, x_stride = k + 3, y_stride = n + 2;
    const size_t y_count = (m - 1) * y_stride + n;
    begin_case("%zux%zu by %zu of %s", m, k, n, type_name(type));
    seed(k);
    const float *x = numbers((m - 1) * x_stride + k, 1), *bias = numbers(n, 1);
    const void *w = weights(type, n * k);
    float *found = floats(y_count), *expected = floats(y_count), most = 1;
    if (type <= OWL2_BF16) {
        twin->product(type, x, x_stride, m, w, n, k, bias, expected, y_stride);
    } else {  // the twin knows floats alone
        float *wide = floats(n * k);
        twin->widen(type, w, n * k, wide);
        for (size_t i = 0; i < n * k; i++) most = fmaxf(most, fabsf(wide[i]));
        twin->product(OWL2_F32, x, x_stride, m, wide, n, k, bias, expected, y_stride);
    }
    kernels->product(type, x, x_stride, m, w, n, k, bias, found, y_stride);
    expect_close(found, expected, y_count, 2e-6f * sqrtf((float)k) * most, 1e-5f);
    release();
}

static void test_products(const owl2_kernels *kernels) {
    static const product_size sizes[] = {
        {1, 1, 1},   {1, 9, 17},    {2, 7, 16},  {3, 5, 1023},   {4, 6, 1024},   {5, 13, 1025},
        {7, 48, 33}, {1, 64, 2500}, {6, 49, 31}, {9, 100, 2049}, {33, 97, 129},
    };
    static const product_size block_sizes[] = {{1, 1, 256}, {1, 9, 512}, {2, 7, 1280}, {5, 49, 256}, {14, 50, 1280}};
    begin("products with f32, f16 and bf16");
    for (owl2_type type = OWL2_F32; type <= OWL2_BF16; type++)
        for (size_t i = 0; i < COUNT(sizes); i++) check_product(kernels, type, sizes[i]);
    finish();
    begin("products with widened q8_0, q4_0, q4_k and q6_k");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q6_K; type++)
        for (size_t i = 0; i < COUNT(block_sizes); i++) check_product(kernels, type, block_sizes[i]);
    finish();
}

// A row's product does not depend on how many rows there are.
static void test_product_of_one_row(const owl2_kernels *kernels) {
    enum { M = 17, N = 71, K = 2111 };
    begin("a row's product beside others");
    for (owl2_type type = OWL2_F32; type <= OWL2_BF16; type++) {
        seed(3);
        const float *x = numbers(M * K, 1);
        const void *w = weights(type, N * K);
        float *all = floats(M * N), *some = floats(M * N);
        kernels->product(type, x, K, M, w, N, K, NULL, all, N);
        static const size_t counts_of_rows[] = {1, 2, 5, 7, 13};
        for (size_t i = 0; i < COUNT(counts_of_rows); i++) {
            begin_case("%zu rows of %s", counts_of_rows[i], type_name(type));
            kernels->product(type, x + 3 * K, K, counts_of_rows[i], w, N, K, NULL, some, N);
            expect_floats(some, all + 3 * N, counts_of_rows[i] * N, false);
        }
        release();
    }
    finish();
}

static void test_combine(const owl2_kernels *kernels) {
    static const product_size sizes[] = {
        {1, 64, 16}, {1, 3, 5},   {2, 17, 9},    {3, 64, 7},  {6, 64, 64},
        {6, 20, 6},  {7, 65, 33}, {13, 96, 128}, {32, 24, 1}, {36, 128, 64},
    };
    begin("combinations of rows of f32 and f16");
    for (owl2_type type = OWL2_F32; type <= OWL2_F16; type++)
        for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
            const size_t m = sizes[i / 2].m, n = sizes[i / 2].n, k = sizes[i / 2].k, stride = n + 5;
            const bool accumulate = i % 2;
            begin_case("%zux%zu by %zu of %s, %s", m, k, n, type_name(type), accumulate ? "added" : "set");
            seed(m * n);
            const float *a = numbers(m * k, 1), *start = numbers(m * n, 1);
            const void *b = weights(type, (k - 1) * stride + n);
            float *found = guarded_copy(start, m * n * 4), *expected = guarded_copy(start, m * n * 4);
            kernels->combine(a, k, m, type, b, stride, n, k, found, n, accumulate);
            twin->combine(a, k, m, type, b, stride, n, k, expected, n, accumulate);
            expect_close(found, expected, m * n, 1e-5f, 1e-5f);
            release();
        }
    finish();
}

static void test_widen(const owl2_kernels *kernels) {
    enum { HALVES = 65536 + 1, ELEMENTS = 4096 };  // one more, for the tail
    begin("widening every f16 and bf16");
    uint16_t *bits = guarded(HALVES * 2);
    float *found = floats(HALVES), *expected = floats(HALVES);
    for (size_t i = 0; i < HALVES; i++) bits[i] = i < 65536 ? (uint16_t)i : 0x3c00;
    for (owl2_type type = OWL2_F16; type <= OWL2_BF16; type++) {
        begin_case("%s", type_name(type));
        kernels->widen(type, bits, HALVES, found);
        twin->widen(type, bits, HALVES, expected);
        expect_floats(found, expected, HALVES, true);
    }
    finish();
}

// Keys and values in a page of 64 rows, stored and widened.
static void test_pages(const owl2_kernels *kernels) {
    static const size_t dimensions[] = {2, 8, 24, 32, 40, 64, 71, 128}, slots[] = {0, 5, 63};
    begin("pages of keys and values in f32, f16 and q8");
    for (size_t i = 0; i < COUNT(dimensions); i++) {
        const size_t n = dimensions[i], groups = (n + 31) / 32;
        const size_t bytes[] = {64 * n * 4, 64 * n * 2, 64 * (n + groups * 4)};
        void *keys[2][3], *values[2][3];
        for (size_t format = 0; format < 3; format++) {
            begin_case("%zu columns, format %zu", n, format);
            for (size_t table = 0; table < 2; table++) {
                const owl2_kernels *of = table ? twin : kernels;
                keys[table][format] = memset(guarded(bytes[format]), 0, bytes[format]);
                values[table][format] = memset(guarded(bytes[format]), 0, bytes[format]);
                seed(n);
                for (size_t slot = 0; slot < COUNT(slots); slot++) {
                    float *key = numbers(n, 9), *value = numbers(n, 1e-6f);
                    if (slots[slot] == 5) key[1] = INFINITY, value[0] = NAN;
                    (format == 0 ? of->store_f32 : format == 1 ? of->store_f16 : of->store_q8)(
                        key, value, n, slots[slot], keys[table][format], values[table][format]);
                }
            }
            expect_bytes(keys[0][format], keys[1][format], bytes[format]);
            expect_bytes(values[0][format], values[1][format], bytes[format]);
        }
        begin_case("%zu columns, widened", n);
        float *found = floats(64 * n), *expected = floats(64 * n);
        kernels->widen_q8_keys(keys[0][2], n, found);
        twin->widen_q8_keys(keys[1][2], n, expected);
        expect_floats(found, expected, 64 * n, true);
        kernels->widen_q8_values(values[0][2], n, found);
        twin->widen_q8_values(values[1][2], n, expected);
        expect_floats(found, expected, 64 * n, true);
        release();
    }
    finish();
}

static void test_softmax(const owl2_kernels *kernels) {
    static const float scales[] = {0.125f, 1, 60}, huge[] = {-1e30f, 0, 1e30f, 1e30f};
    begin("softmax");
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (size_t s = 0; s < COUNT(scales); s++) {
            begin_case("%zu scores times %g", lengths[i], scales[s]);
            seed(lengths[i]);
            float *found = numbers(lengths[i], 40), *expected = guarded_copy(found, lengths[i] * 4);
            kernels->softmax(found, lengths[i], scales[s]);
            twin->softmax(expected, lengths[i], scales[s]);
            // Scores are rounded before the exponential: an error of their size's last bit is to be expected.
            expect_close(found, expected, lengths[i], 1e-7f, 3e-4f * fmaxf(1, scales[s] / 10));
            release();
        }
    for (size_t count = 3; count <= 4; count++) {
        begin_case("%zu huge scores", count);
        float *found = guarded_copy(huge, count * 4), *expected = guarded_copy(huge, count * 4);
        kernels->softmax(found, count, 1);
        twin->softmax(expected, count, 1);
        expect_floats(found, expected, count, false);
    }
    finish();
}

static void test_norms(const owl2_kernels *kernels) {
    static const float scales[] = {1e-3f, 1, 1e4f};
    begin("layer norm and RMS norm");
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (size_t s = 0; s < COUNT(scales); s++) {
            const size_t n = lengths[i];
            seed(n);
            const float *x = numbers(n, scales[s]), *weight = numbers(n, 1), *bias = numbers(n, 1);
            float *found = floats(n), *expected = floats(n);
            begin_case("layer norm of %zu up to %g", n, scales[s]);
            kernels->layer_norm(x, weight, bias, n, 1e-6f, found);
            twin->layer_norm(x, weight, bias, n, 1e-6f, expected);
            expect_close(found, expected, n, 1e-5f, 1e-4f);
            begin_case("RMS norm of %zu up to %g", n, scales[s]);
            kernels->rms_norm(x, weight, n, 1e-5f, found);
            twin->rms_norm(x, weight, n, 1e-5f, expected);
            expect_close(found, expected, n, 1e-6f, 1e-5f);
            release();
        }
    finish();
}

static void test_activations(const owl2_kernels *kernels) {
    static const float special[] = {0, -0.0f, 100, -100, 1e20f, -1e20f, 1e-20f};
    static const char *const names[] = {"quick GELU", "GELU", "SiLU", "sum"};
    begin("quick GELU, GELU, SiLU and sums");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t n = lengths[i] + COUNT(special);
        seed(n);
        float *x = numbers(n, 12);
        memcpy(x + lengths[i], special, sizeof special);
        const float *up = numbers(n, 1);
        for (size_t kind = 0; kind < COUNT(names); kind++) {
            begin_case("%s of %zu", names[kind], n);
            float *results[] = {guarded_copy(x, n * 4), guarded_copy(x, n * 4)};
            for (size_t table = 0; table < 2; table++) {
                const owl2_kernels *of = table ? twin : kernels;
                if (kind == 0) of->quick_gelu(results[table], n);
                if (kind == 1) of->gelu(results[table], n);
                if (kind == 2) of->silu_multiply(results[table], up, n);
                if (kind == 3) of->add(up, n, results[table]);
            }
            expect_close(results[0], results[1], n, 1e-6f, 3e-6f);
        }
        release();
    }
    finish();
}

static void test_rotation(const owl2_kernels *kernels) {
    static const size_t halves[] = {1, 3, 8, 16, 20, 64};
    begin("rotation of halves");
    for (size_t i = 0; i < COUNT(halves); i++) {
        const size_t half = halves[i];
        begin_case("%zu pairs", half);
        seed(half);
        const float *cosine = numbers(half, 1), *sine = numbers(half, 1);
        float *found = numbers(2 * half, 1), *expected = guarded_copy(found, 2 * half * 4);
        kernels->rotate_halves(found, cosine, sine, half);
        twin->rotate_halves(expected, cosine, sine, half);
        expect_close(found, expected, 2 * half, 1e-6f, 1e-5f);
    }
    finish();
}

static void test_not_finite(const owl2_kernels *kernels) {
    begin("NaN and infinity come through");
    begin_case("quick GELU");
    float x[40], y[40], product = 0;
    for (size_t i = 0; i < 40; i++) x[i] = y[i] = i == 21 ? NAN : 1;
    kernels->quick_gelu(y, 40);
    for (size_t i = 0; i < 40; i++) expect(isnan(y[i]) == (i == 21), "NaN where it was and nowhere else");
    begin_case("product");
    kernels->product(OWL2_F32, x, 40, 1, x, 1, 40, NULL, &product, 1);
    expect(isnan(product), "the sum is NaN");
    finish();
}

// ---------------------------------------------------------------- kernels for blocks

static void *prepared(const owl2_block_kernels *kernels, const float *x, size_t m, size_t k) {
    char *rows = guarded(m * owl2_prepared_bytes(k));
    for (size_t i = 0; i < m; i++) kernels->prepare(x + i * k, k, rows + i * owl2_prepared_bytes(k));
    return rows;
}

// A table's product with rows that it prepared itself.
static float *block_product(const owl2_block_kernels *kernels, owl2_type type, const float *x, const void *w,
                            product_size size, const float *bias) {
    const size_t y_stride = size.n + 2;
    const void *rows = prepared(kernels, x, size.m, size.k);
    float *y = floats((size.m - 1) * y_stride + size.n);
    void *scratch = guarded((kernels->scratch_bytes(size.m, size.k) + 63) / 64 * 64);
    kernels->product(type, rows, size.m, w, size.n, size.k, bias, y, y_stride, scratch);
    return y;
}

static void test_prepare(const owl2_block_kernels *kernels) {
    static const size_t columns[] = {32, 64, 480, 512, 1056};
    bool taken[512] = {false};
    begin("prepared activations");
    begin_case("places");
    for (size_t i = 0; i < 512; i++) {
        const size_t place = kernels->place(i / 32, i % 32);
        expect(place < 512 && !taken[place], "every element has a place of its own");
        if (place < 512) taken[place] = true;
    }
    for (size_t i = 0; i < COUNT(columns); i++) {
        const size_t k = columns[i], stretches = owl2_stretches(k);
        seed(k);
        float *x = numbers(3 * k, 7);
        for (size_t j = 0; j < 32; j++) x[k + j] = j % 2 ? -0.0f : 0;
        x[2 * k] = 1e38f;
        const char *found = prepared(kernels, x, 3, k), *expected = prepared(block_twin, x, 3, k);
        for (size_t row = 0; row < 3; row++) {
            begin_case("row %zu of %zu columns", row, k);
            const size_t start = row * owl2_prepared_bytes(k);
            const prepared_row a = prepared_row_at(found + start, k), b = prepared_row_at(expected + start, k);
            int8_t in_order[2][32];
            for (size_t group = 0; group < 16 * stretches; group++) {
                for (size_t e = 0; e < 32; e++) {
                    in_order[0][e] = a.q[group / 16 * 512 + kernels->place(group % 16, e)];
                    in_order[1][e] = b.q[group / 16 * 512 + block_twin->place(group % 16, e)];
                }
                expect_bytes(in_order[0], in_order[1], 32);
            }
            expect_bytes(a.scale, b.scale, stretches * (OWL2_STRETCH_BYTES - 512));  // and the sums behind
        }
    }
    finish();
}

static const product_size block_sizes[] = {
    {1, 1, 32},  {1, 7, 480},   {1, 33, 512}, {2, 5, 544},     {3, 31, 1024}, {4, 32, 1056}, {5, 33, 2816},
    {6, 64, 96}, {8, 40, 1600}, {9, 65, 544}, {13, 70, 11008}, {20, 3, 4096}, {67, 50, 544},
};

static void test_block_products(const owl2_block_kernels *kernels) {
    begin("products with q8_0 and q4_0, bit for bit");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q4_0; type++)
        for (size_t i = 0; i < COUNT(block_sizes); i++) {
            const product_size size = block_sizes[i];
            begin_case("%zux%zu by %zu of %s", size.m, size.k, size.n, type_name(type));
            seed(size.k + size.m);
            const float *bias = i % 4 == 3 ? NULL : numbers(size.n, 1);
            float *x = numbers(size.m * size.k, 3);
            char *w = weights(type, size.n * size.k);
            if (i == 0) {  // the sums of largest magnitude
                for (size_t j = 0; j < size.k; j++) x[j] = 3;
                memset(w + 2, type == OWL2_Q8_0 ? 0x80 : 0, type == OWL2_Q8_0 ? 32 : 16);
            }
            const float *found = block_product(kernels, type, x, w, size, bias);
            const float *expected = block_product(block_twin, type, x, w, size, bias);
            expect_floats(found, expected, (size.m - 1) * (size.n + 2) + size.n, false);
            release();
        }
    finish();
}

static void test_block_product_of_one_row(const owl2_block_kernels *kernels) {
    const product_size size = {19, 45, 1120};
    begin("a row's product with blocks beside others");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q4_0; type++)
        for (size_t count = 1; count <= 15; count++) {
            begin_case("%zu rows of %s", count, type_name(type));
            seed(5);
            const float *x = numbers(size.m * size.k, 1);
            const void *w = weights(type, size.n * size.k);
            const float *all = block_product(kernels, type, x, w, size, NULL);
            const float *some =
                block_product(kernels, type, x + 2 * size.k, w, (product_size){count, size.n, size.k}, NULL);
            for (size_t i = 0; i < count; i++)
                expect_floats(some + i * (size.n + 2), all + (2 + i) * (size.n + 2), size.n, false);
            release();
        }
    finish();
}

static void test_blocks_not_finite(const owl2_block_kernels *kernels) {
    static const float values[] = {NAN, INFINITY, -INFINITY};
    begin("an activation that is not finite");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q4_0; type++)
        for (size_t i = 0; i < 2 * COUNT(values); i++) {
            const product_size size = {i % 2 ? 14 : 1, 33, 576};
            begin_case("%g among %zu rows of %s", values[i / 2], size.m, type_name(type));
            seed(2);
            float *x = numbers(size.m * size.k, 1);
            x[540] = values[i / 2];
            const float *y = block_product(kernels, type, x, weights(type, size.n * size.k), size, NULL);
            for (size_t j = 0; j < size.n; j++) {
                expect(isnan(y[j]), "its row is NaN");
                expect(size.m == 1 || isfinite(y[size.n + 2 + j]), "the next row is not");
            }
            release();
        }
    finish();
}

// ---------------------------------------------------------------- limits.inc

static void test_limits(const owl2_limits *limits) {
    enum { WORDS = 512 * 13 / 8 };
    begin("the loops that measure limits");
    begin_case("reading");
    uint64_t *words = guarded(WORDS * 8), expected = 0;
    seed(1);
    for (size_t i = 0; i < WORDS; i++) next(), expected ^= words[i] = state;
    expect(limits->read(words, WORDS * 8) == expected, "all words are read once");
    begin_case("operations");
    expect(limits->int8(1) > 0 && limits->int8(5) == 5 * limits->int8(1), "bytes: as many in each round");
    expect(limits->float32(1) > 0 && limits->float32(5) == 5 * limits->float32(1), "floats: as many in each round");
    finish();
}

// ---------------------------------------------------------------- the same bits on every processor

// Near normal, without what a mathematical library may round in its own way.
static float bell(void) { return next() + next() + next() + next(); }

static void fill_row(size_t kind, float *row, size_t count) {
    static const float scales[] = {1, 1e-3f, 0.02f, 50, 1e4f, 1e-7f, 1e-30f, 1e-41f};
    seed(kind);
    for (size_t i = 0; i < count; i++) {
        float x = bell();
        switch (kind) {
        case 8: row[i] = x * x * x * x * x; break;
        case 9: row[i] = 0; break;
        case 10: row[i] = -0.0f; break;
        case 11: row[i] = -2.5f; break;
        case 12: row[i] = fabsf(x); break;
        case 13: row[i] = -fabsf(x); break;
        case 14: row[i] = i == 300 ? 1000 : 0; break;
        case 15: row[i] = (float)((int)(i % 31) - 15) / 2; break;
        case 16: row[i] = x + 100; break;
        case 17: row[i] = i % 2 ? -65504 : 65504; break;
        case 18: row[i] = i == 77 ? NAN : x; break;
        case 19: row[i] = i == 400 ? -INFINITY : x; break;
        case 20: row[i] = i == 255 ? 3e38f : x; break;
        default: row[i] = x * scales[kind]; break;
        }
    }
}

static void compare_quantisation(void) {
    enum { KINDS = 21, LENGTH = 512 };
    begin("quantisation to all types, as the machine that compiles does it");
    for (owl2_type type = OWL2_F32; type <= OWL2_Q6_K; type++)
        for (size_t kind = 0; kind < KINDS; kind++) {
            begin_case("%s, row %zu", type_name(type), kind);
            float *x = floats(LENGTH);
            void *y = guarded(stored_bytes(type, LENGTH));
            fill_row(kind, x, LENGTH);
            const uint64_t done = owl2_quantize_for(OWL2_TIER_BASELINE)(type, x, LENGTH, y);
            expect_as_recorded(&done, sizeof done);
            if (done != LENGTH) memset(y, 0, stored_bytes(type, LENGTH));  // of no use
            expect_as_recorded(y, stored_bytes(type, LENGTH));
            release();
        }
    if (!is_recording) finish();
}

// Every half, what lies in the middle of two, and the numbers beside: against the scalar conversion, odd lengths too.
static void test_halves(void) {
    enum { COUNT_OF_VALUES = 0x7c00 * 6 + 1 };
    begin("quantisation to f16 of halves and what lies between");
    float *x = floats(COUNT_OF_VALUES), *at = x;
    for (uint16_t half = 0; half < 0x7c00; half++) {
        const float value = owl2_float_from_half(half);
        const float middle = half == 0x7bff ? 65519 : (value + owl2_float_from_half(half + 1)) / 2;
        *at++ = value;
        *at++ = middle;
        *at++ = nextafterf(value, 1e9f);
        *at++ = nextafterf(middle, 0);
        *at++ = -nextafterf(value, -1);
        *at++ = -nextafterf(middle, 0);
    }
    *at = -0.0f;
    static const size_t counts_of_values[] = {COUNT_OF_VALUES, 1, 2, 7, 8, 9, 33};
    for (size_t i = 0; i < COUNT(counts_of_values); i++) {
        const size_t count = counts_of_values[i];
        begin_case("%zu numbers", count);
        const float *values = x + COUNT_OF_VALUES - count;
        uint16_t *found = guarded(count * 2), *expected = guarded(count * 2);
        expect(owl2_quantize_for(OWL2_TIER_BASELINE)(OWL2_F16, values, count, found) == count, "all are written");
        for (size_t j = 0; j < count; j++) expected[j] = owl2_half_from_float(values[j]);
        expect_bytes(found, expected, count * 2);
    }
    finish();
}

// The twins themselves: they share widening, preparing and storing with the kernels.
static void compare_twins(void) {
    begin("blocks widened, stored and multiplied by the twins, likewise");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q6_K; type++) {
        begin_case("%s, widened", type_name(type));
        seed(type);
        float *wide = floats(8192);
        twin->widen(type, weights(type, 8192), 8192, wide);
        expect_as_recorded(wide, 8192 * 4);
    }
    release();
    begin_case("a page of keys and values");
    seed(0);
    char *keys = memset(guarded(64 * 71), 0, 64 * 71), *values = memset(guarded(64 * 71), 0, 64 * 71);
    for (size_t slot = 0; slot < 16; slot++) twin->store_q8(numbers(63, 9), numbers(63, 9), 63, slot, keys, values);
    expect_as_recorded(keys, 64 * 71);
    expect_as_recorded(values, 64 * 71);
    release();
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q4_0; type++)
        for (size_t i = 0; i < COUNT(block_sizes); i++) {
            const product_size size = block_sizes[i];
            if (size.m * size.n * size.k > 1 << 20) continue;
            begin_case("%zux%zu by %zu of %s", size.m, size.k, size.n, type_name(type));
            seed(i);
            const float *x = numbers(size.m * size.k, 3);
            const void *w = weights(type, size.n * size.k);
            expect_as_recorded(prepared(block_twin, x, size.m, size.k), size.m * owl2_prepared_bytes(size.k));
            const float *y = block_product(block_twin, type, x, w, size, NULL);
            expect_as_recorded(y, ((size.m - 1) * (size.n + 2) + size.n) * 4);
            release();
        }
    if (!is_recording) finish();
}

// ---------------------------------------------------------------- the choice of tables

static void test_dispatch(bool has_dot_product) {
    begin("the choice at run time");
    for (owl2_tier tier = OWL2_TIER_BASELINE; tier < OWL2_TIER_COUNT; tier++) {
        begin_case("%s", owl2_tier_name(tier));
        const bool wanted = tier == OWL2_TIER_BASELINE || (tier == OWL2_TIER_DOTPROD && has_dot_product);
        expect((owl2_kernels_for(tier) != NULL) == wanted, "kernels are there exactly if the processor has the set");
        expect((owl2_block_kernels_for(tier) != NULL) == wanted, "likewise kernels for blocks");
        expect((owl2_limits_for(tier) != NULL) == wanted, "likewise loops for limits");
        expect((owl2_quantize_for(tier) != NULL) == (tier == OWL2_TIER_BASELINE), "one function quantises");
    }
    begin_case("the best");
    const owl2_tier best = has_dot_product ? OWL2_TIER_DOTPROD : OWL2_TIER_BASELINE;
    expect(owl2_kernels_best() == owl2_kernels_for(best), "kernels");
    expect(owl2_quantize_best() == owl2_quantize_for(OWL2_TIER_BASELINE), "quantisation");
    finish();
}

static void test_kernels(const owl2_kernels *kernels) {
    test_products(kernels);
    test_product_of_one_row(kernels);
    test_combine(kernels);
    test_widen(kernels);
    test_pages(kernels);
    test_softmax(kernels);
    test_norms(kernels);
    test_activations(kernels);
    test_rotation(kernels);
    test_not_finite(kernels);
}

static void test_block_kernels(const owl2_block_kernels *kernels) {
    test_prepare(kernels);
    test_block_products(kernels);
    test_block_product_of_one_row(kernels);
    test_blocks_not_finite(kernels);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, fault);
    signal(SIGILL, fault);
    is_recording = argc == 3 && strcmp(argv[1], "record") == 0;
    const bool has_dot_product = argc == 4 && strcmp(argv[3], "with-dot-product") == 0;
    if (!is_recording && (argc != 4 || (!has_dot_product && strcmp(argv[3], "without-dot-product") != 0))) {
        fputs("usage: kernels record FILE | kernels test FILE with-dot-product|without-dot-product\n", stderr);
        return 2;
    }
    record = fopen(argv[2], is_recording ? "wb" : "rb");
    if (!record) {
        perror(argv[2]);
        return 2;
    }
    if (!is_recording) {
        printf("all instruction sets\n");
        test_dispatch(has_dot_product);
        test_halves();
    }
    compare_quantisation();
    compare_twins();
    if (is_recording) return fclose(record) == 0 ? 0 : 2;

    const owl2_kernels *tested = NULL;
    for (owl2_tier tier = OWL2_TIER_BASELINE; tier <= OWL2_TIER_DOTPROD; tier++) {
        const owl2_kernels *kernels = owl2_kernels_for(tier);
        const owl2_block_kernels *block_kernels = owl2_block_kernels_for(tier);
        const owl2_limits *limits = owl2_limits_for(tier);
        if (!kernels || !block_kernels || !limits) {
            printf("%s: not tested, this processor lacks it\n", owl2_tier_name(tier));
            continue;
        }
        printf("%s\n", owl2_tier_name(tier));
        if (kernels == tested) printf("  kernels for floats: those of %s\n", kernels->name);
        else test_kernels(kernels);
        tested = kernels;
        test_block_kernels(block_kernels);
        test_limits(limits);
    }
    if (failed_checks) printf("%zu checks FAILED\n", failed_checks);
    return failed_checks > 0;
}
