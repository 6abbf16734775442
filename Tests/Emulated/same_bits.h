// What must have the same bits on every processor: quantisation, and the twins, which share code with the kernels.
#pragma once

#include "block_kernels.h"
#include "float_kernels.h"
#include "owl2_quantize.h"

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
    for (size_t slot = 0; slot < 16; slot++) {
        const float *key = numbers(63, 9), *value = numbers(63, 9);
        twin->store_q8_keys(key, 63, 1, 63, slot, keys);
        twin->store_q8_values(value, 63, 1, 63, slot, values);
    }
    expect_as_recorded(keys, 64 * 71);
    expect_as_recorded(values, 64 * 71);
    release();
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q6_K; type++)
        for (size_t i = 0; i < COUNT(block_sizes); i++) {
            const product_size size = block_size(type, i);
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
