// The kernels of a table owl2_kernels against their naive twins.
#pragma once

#include "support.h"

static const owl2_kernels *const twin = &owl2_kernels_reference;
static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 16, 31, 64, 100, 1025};

static void check_product(const owl2_kernels *kernels, owl2_type type, product_size size) {
    const size_t m = size.m, n = size.n, k = size.k, x_stride = k + 3, y_stride = n + 2;
    const size_t y_count = (m - 1) * y_stride + n;
    begin_case("%zux%zu by %zu of %s", m, k, n, type_name(type));
    seed(k);
    const float *x = numbers((m - 1) * x_stride + k, 1), *bias = numbers(n, 1);
    const void *w = weights(type, n * k);
    float *found = floats(y_count), *expected = floats(y_count);
    twin->product(type, x, x_stride, m, w, n, k, bias, expected, y_stride);
    kernels->product(type, x, x_stride, m, w, n, k, bias, found, y_stride);
    expect_close(found, expected, y_count, 2e-6f * sqrtf((float)k), 1e-5f);
    release();
}

static void test_products(const owl2_kernels *kernels) {
    static const product_size sizes[] = {
        {1, 1, 1},   {1, 9, 17},    {2, 7, 16},  {3, 5, 1023},   {4, 6, 1024},   {5, 13, 1025},
        {7, 48, 33}, {1, 64, 2500}, {6, 49, 31}, {9, 100, 2049}, {33, 97, 129},
    };
    begin("products with f32, f16 and bf16");
    for (owl2_type type = OWL2_F32; type <= OWL2_BF16; type++)
        for (size_t i = 0; i < COUNT(sizes); i++) check_product(kernels, type, sizes[i]);
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
            kernels->combine(a, k, m, type, b, stride, n, k, found, n, accumulate, b);
            twin->combine(a, k, m, type, b, stride, n, k, expected, n, accumulate, NULL);
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
                    const size_t rows = slots[slot] == 5 ? 4 : 1;
                    float *key = numbers(rows * n, 9), *value = numbers(rows * n, 1e-6f);
                    if (slots[slot] == 5) key[1] = INFINITY, value[0] = NAN;
                    (format == 0 ? of->store_f32_keys : format == 1 ? of->store_f16_keys : of->store_q8_keys)(
                        key, n, rows, n, slots[slot], keys[table][format]);
                    (format == 0 ? of->store_f32_values : format == 1 ? of->store_f16_values : of->store_q8_values)(
                        value, n, rows, n, slots[slot], values[table][format]);
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

// A page of 64 rows of keys and values as 16-bit integers, stored by a table.
typedef struct {
    size_t n, bytes;
    void *keys, *values;
} integer_page;

static integer_page make_integer_page(const owl2_kernels *of, size_t n, size_t not_finite_slot) {
    integer_page page = {.n = n, .bytes = 64 * (n * 2 + 4)};
    page.keys = memset(guarded(page.bytes), 0, page.bytes);
    page.values = memset(guarded(page.bytes), 0, page.bytes);
    seed(n);
    static float key[64 * 128], value[64 * 128];
    for (size_t slot = 0; slot < 64; slot++) {
        float *const k = key + slot * n, *const v = value + slot * n;
        for (size_t i = 0; i < n; i++) k[i] = slot == 7 ? 0 : next() * 9, v[i] = next() * 1e-6f;
        if (slot == not_finite_slot) k[1] = INFINITY, v[0] = NAN;
    }
    for (size_t slot = 0, rows; slot < 64; slot += rows) {
        rows = slot < 3 ? 1 : slot < 8 ? 5 : 64 - slot;
        of->store_int16_keys(key + slot * n, n, rows, n, slot, page.keys);
        of->store_int16_values(value + slot * n, n, rows, n, slot, page.values);
    }
    return page;
}

static int16_t *integers(size_t count, float least, float most) {
    int16_t *q = guarded(count * 2);
    for (size_t i = 0; i < count; i++) q[i] = (int16_t)fmaxf(rintf(next() * most), least);
    return q;
}

static void test_integer_pages(const owl2_kernels *kernels) {
    static const size_t dimensions[] = {2, 8, 24, 40, 64, 128};
    static const struct {
        size_t m, n;
    } sizes[] = {{1, 64}, {2, 1}, {6, 16}, {7, 33}, {13, 48}, {36, 64}};
    begin("keys and values in 16 bits, scores and sums of values");
    for (size_t d = 0; d < COUNT(dimensions); d++) {
        const size_t columns = dimensions[d];
        begin_case("%zu columns, stored", columns);
        integer_page stored = make_integer_page(kernels, columns, 5), expected_page = make_integer_page(twin, columns, 5);
        expect_bytes(stored.keys, expected_page.keys, stored.bytes);
        expect_bytes(stored.values, expected_page.values, stored.bytes);
        release();
        for (size_t i = 0; i < COUNT(sizes); i++) {
            const size_t m = sizes[i].m, n = sizes[i].n, stride = n + 3, count = (m - 1) * stride + n;
            begin_case("%zu columns, %zu rows, %zu keys", columns, m, n);
            integer_page page = make_integer_page(twin, columns, 64);
            const int16_t *queries = integers(m * columns, -4095, 4095);
            int16_t *powers = integers(m * 64, 0, 8191);
            if (n % 2)
                for (size_t row = 0; row < m; row++) powers[row * 64 + n] = 0;
            const float *scales = numbers(m, 1e-3f), *start = numbers(m * columns, 1e-3f);
            float *found = memset(floats(count), 0, count * 4), *expected = memset(floats(count), 0, count * 4);
            kernels->scores_int16(queries, m, page.keys, n, columns, found, stride);
            twin->scores_int16(queries, m, page.keys, n, columns, expected, stride);
            expect_close(found, expected, count, 0, 1e-6f);
            found = guarded_copy(start, m * columns * 4), expected = guarded_copy(start, m * columns * 4);
            kernels->add_values_int16(powers, scales, m, page.values, n, columns, found);
            twin->add_values_int16(powers, scales, m, page.values, n, columns, expected);
            expect_close(found, expected, m * columns, 1e-3f, 1e-6f);
            release();
        }
    }
    finish();
}

static void test_integer_powers(const owl2_kernels *kernels) {
    static const size_t counts[] = {0, 1, 7, 16, 63, 64};
    static const float scales[] = {0.125f, 1, 3};
    begin("powers in 16 bits, and the greatest of some numbers");
    for (size_t i = 0; i < COUNT(counts); i++)
        for (size_t s = 0; s < COUNT(scales); s++) {
            const size_t n = counts[i];
            begin_case("%zu scores times %g", n, scales[s]);
            seed(n);
            const float *x = numbers(n, 40);
            float *factors = numbers(n, 1), sums[2], power_scales[2];
            for (size_t j = 0; j < n; j++) factors[j] = fabsf(factors[j]);
            const float most = n ? twin->maximum(x, n) : 0;
            expect(n == 0 || kernels->maximum(x, n) == most, "the greatest is the twin's");
            int16_t *powers[] = {guarded(128), guarded(128)};
            for (size_t table = 0; table < 2; table++)
                sums[table] = (table ? twin : kernels)->exponentials_int16(x, n, scales[s], most, factors, powers[table],
                                                                           power_scales + table);
            expect_close(sums, sums + 1, 1, 0, 1e-5f);
            expect_close(power_scales, power_scales + 1, 1, 0, 1e-5f);
            for (size_t j = 0; j < 64; j++)
                expect(abs(powers[0][j] - powers[1][j]) <= (j < n), "an integer is the twin's, or the next");
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

static void test_kernels(const owl2_kernels *kernels) {
    test_products(kernels);
    test_product_of_one_row(kernels);
    test_combine(kernels);
    test_widen(kernels);
    test_pages(kernels);
    test_integer_pages(kernels);
    test_integer_powers(kernels);
    test_softmax(kernels);
    test_norms(kernels);
    test_activations(kernels);
    test_rotation(kernels);
    test_not_finite(kernels);
}
