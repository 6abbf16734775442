// The kernels of a table owl2_block_kernels against their naive twins.
#pragma once

#include "owl2_block_kernels.h"
#include "prepared.h"
#include "support.h"

static const owl2_block_kernels *const block_twin = &owl2_block_kernels_reference;

// Rows, of which some columns are prepared at a time.
static void *prepared_by(size_t step, const owl2_block_kernels *kernels, const float *x, size_t m, size_t k) {
    char *rows = guarded(m * owl2_prepared_bytes(k));
    for (size_t from = 0; from < k; from += step)
        for (size_t i = 0; i < m; i++)
            kernels->prepare(x + i * k + from, from, k - from < step ? k - from : step, k, rows, i, m);
    return rows;
}

static void *prepared(const owl2_block_kernels *kernels, const float *x, size_t m, size_t k) {
    return prepared_by(k, kernels, x, m, k);
}

// A table's product with rows that it prepared itself.
static float *block_product(const owl2_block_kernels *kernels, owl2_type type, const float *x, const void *w,
                            product_size size, const float *bias) {
    const size_t y_stride = size.n + 2;
    const void *rows = prepared(kernels, x, size.m, size.k);
    float *y = floats((size.m - 1) * y_stride + size.n);
    kernels->product(type, rows, size.m, w, size.n, size.k, bias, y, y_stride,
                     guarded(kernels->working_bytes(size.m, size.k)));
    return y;
}

static void test_prepare(const owl2_block_kernels *kernels) {
    static const size_t columns[] = {32, 64, 480, 512, 1056};
    bool taken[512] = {false};
    begin("prepared activations");
    begin_case("places");
    for (size_t i = 0; i < 512; i++) {
        const size_t place = kernels->place(0, 1, 512, i).element;
        expect(place < 512 && !taken[place], "every element has a place of its own");
        if (place < 512) taken[place] = true;
    }
    for (size_t i = 0; i < COUNT(columns); i++) {
        const size_t k = columns[i], stretches = owl2_stretches(k), m = OWL2_TILE_ROWS + 3;
        seed(k);
        float *x = numbers(m * k, 7);
        for (size_t j = 0; j < 32; j++) x[k + j] = j % 2 ? -0.0f : 0;
        x[2 * k] = 1e38f;
        const char *found = prepared(kernels, x, m, k), *expected = prepared(block_twin, x, m, k);
        begin_case("parts of %zu columns", k);
        expect_bytes(prepared_by(OWL2_PART_COLUMNS, kernels, x, m, k), found, m * owl2_prepared_bytes(k));
        for (size_t row = 0; row < m; row++) {
            begin_case("row %zu of %zu columns", row, k);
            for (size_t column = 0; column < stretches * 512; column++) {
                const owl2_place a = kernels->place(row, m, k, column), b = block_twin->place(row, m, k, column);
                expect_bytes(found + a.element, expected + b.element, 1);
                expect_bytes(found + a.scale, expected + b.scale, sizeof(float));
            }
            const prepared_row found_row = owl2_prepared_row(found, row, m, k);
            const prepared_row expected_row = owl2_prepared_row(expected, row, m, k);
            for (size_t s = 0; s < stretches; s++)  // the scales, and the sums behind
                expect_bytes(found_row.first[s * found_row.step].scale, expected_row.first[s * expected_row.step].scale,
                             OWL2_STRETCH_BYTES - 512);
        }
    }
    finish();
}

static const product_size block_sizes[] = {
    {1, 1, 32},  {1, 7, 480},   {1, 33, 512}, {2, 5, 544},     {3, 31, 1024}, {4, 32, 1056}, {5, 33, 2816},
    {6, 64, 96}, {8, 40, 1600}, {9, 65, 544}, {13, 70, 11008}, {20, 3, 4096}, {67, 50, 544},
};

// Number i of these sizes, with columns of whole blocks.
static product_size block_size(owl2_type type, size_t i) {
    product_size size = block_sizes[i];
    if (type >= OWL2_Q4_K) size.k = (size.k + 255) / 256 * 256;
    return size;
}

static void test_block_products(const owl2_block_kernels *kernels) {
    begin("products with q8_0, q4_0, q4_k and q6_k, bit for bit");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q6_K; type++)
        for (size_t i = 0; i < COUNT(block_sizes); i++) {
            const product_size size = block_size(type, i);
            begin_case("%zux%zu by %zu of %s", size.m, size.k, size.n, type_name(type));
            seed(size.k + size.m);
            const float *bias = i % 4 == 3 ? NULL : numbers(size.n, 1);
            float *x = numbers(size.m * size.k, 3);
            char *w = weights(type, size.n * size.k);
            if (i == 0) {  // the sums of largest magnitude
                for (size_t j = 0; j < size.k; j++) x[j] = 3;
                if (type == OWL2_Q8_0) memset(w + 2, 0x80, 32);
                if (type == OWL2_Q4_0) memset(w + 2, 0, 16);
                if (type == OWL2_Q4_K) memset(w + 4, 0xff, 140);
                if (type == OWL2_Q6_K) memset(w, 0, 192), memset(w + 192, 0x80, 16);
            }
            const float *found = block_product(kernels, type, x, w, size, bias);
            const float *expected = block_product(block_twin, type, x, w, size, bias);
            expect_floats(found, expected, (size.m - 1) * (size.n + 2) + size.n, false);
            release();
        }
    finish();
}

static void test_block_product_of_one_row(const owl2_block_kernels *kernels) {
    const product_size size = {19, 45, 1280};
    begin("a row's product with blocks beside others");
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q6_K; type++)
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
    for (owl2_type type = OWL2_Q8_0; type <= OWL2_Q6_K; type++)
        for (size_t i = 0; i < 2 * COUNT(values); i++) {
            const product_size size = {i % 2 ? 14 : 1, 33, 768};
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

static void test_block_kernels(const owl2_block_kernels *kernels) {
    test_prepare(kernels);
    test_block_products(kernels);
    test_block_product_of_one_row(kernels);
    test_blocks_not_finite(kernels);
}
