// Keys and values as bytes and as 16-bit integers, with scales: what kernels and their naive twins share.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "owl2_kernels.h"

static inline size_t owl2_q8_groups(size_t n) { return (n + 31) / 32; }

// The greatest magnitudes of 16-bit queries, keys and values, and of powers: 32-bit sums hold the products of
// OWL2_INT16_MOST_COLUMNS columns of queries and keys, and of 64 powers and values.
enum { OWL2_INT16_MOST = 4095, OWL2_INT16_MOST_POWER = 8191 };

// Where an element stands among rows of `columns` elements, two rows side by side.
static inline size_t owl2_int16_pair(size_t row, size_t column, size_t columns) {
    return row / 2 * 2 * columns + 2 * column + row % 2;
}

// The scales of the 64 keys or values of a page, behind their n columns.
static inline float *owl2_int16_scales(void *page, size_t n) { return (float *)((int16_t *)page + 64 * n); }

// Of a key two columns are neighbours, of a value two rows.
static inline void owl2_store_int16_keys(float (*quantize)(const float *, size_t, int16_t *), const float *x, size_t stride,
                                         size_t m, size_t n, size_t slot, void *page) {
    int16_t q[OWL2_INT16_MOST_COLUMNS];
    for (const size_t end = slot + m; slot < end; slot++, x += stride) {
        owl2_int16_scales(page, n)[slot] = quantize(x, n, q);
        for (size_t i = 0; i < n; i += 2) __builtin_memcpy((int16_t *)page + owl2_int16_pair(i, slot, 64), q + i, 2 * sizeof *q);
    }
}
