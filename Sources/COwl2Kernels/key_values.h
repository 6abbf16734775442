// Keys and values as bytes and as 16-bit integers, with scales.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "conversions.h"
#include "owl2_kernels.h"

static inline size_t owl2_q8_groups(size_t n) { return (n + 31) / 32; }

// Quantises n columns by groups of 32 to q[i * q_stride], with a scale for each group at scales[group * scale_stride].
static inline void owl2_store_q8_row(const float *x, size_t n, int8_t *q, size_t q_stride, float *scales,
                                     size_t scale_stride) {
    for (size_t first = 0; first < n; first += 32) {
        size_t end = first + 32 < n ? first + 32 : n;
        float most = 0;
        int finite = 1;
        for (size_t i = first; i < end; i++) {
            float magnitude = fabsf(x[i]);
            finite &= magnitude <= __FLT_MAX__;
            most = magnitude > most ? magnitude : most;
        }
        float inverse = finite && most > 1e-30f ? 127 / most : 0;
        for (size_t i = first; i < end; i++) q[i * q_stride] = (int8_t)(finite ? rintf(x[i] * inverse) : 0);
        scales[first / 32 * scale_stride] = finite ? most / 127 : __builtin_nanf("");
    }
}

// The greatest magnitudes of 16-bit queries, keys and values, and of powers: 32-bit sums hold the products of
// OWL2_INT16_MOST_COLUMNS columns of queries and keys, and of 64 powers and values.
enum { OWL2_INT16_MOST = 4095, OWL2_INT16_MOST_POWER = 8191 };

// Where an element stands among rows of `columns` elements, two rows side by side.
static inline size_t owl2_int16_pair(size_t row, size_t column, size_t columns) {
    return row / 2 * 2 * columns + 2 * column + row % 2;
}

// The scales of the 64 keys or values of a page, behind their n columns.
static inline float *owl2_int16_scales(void *page, size_t n) { return (float *)((int16_t *)page + 64 * n); }

// Stores a head's key and value as row `slot` of a page. Of a key two columns are neighbours, of a value two rows.
static inline void owl2_store_int16(float (*quantize)(const float *, size_t, int16_t *), const float *key, const float *value,
                                    size_t n, size_t slot, void *keys, void *values) {
    int16_t q[OWL2_INT16_MOST_COLUMNS];
    owl2_int16_scales(keys, n)[slot] = quantize(key, n, q);
    for (size_t i = 0; i < n; i += 2) __builtin_memcpy((int16_t *)keys + owl2_int16_pair(i, slot, 64), q + i, 2 * sizeof *q);
    owl2_int16_scales(values, n)[slot] = quantize(value, n, q);
    int16_t *const row = (int16_t *)values + slot / 2 * 2 * n;
    const uint32_t shift = slot % 2 * 16, other = 0xffff0000u >> shift;
    for (size_t i = 0; i < n; i++) {
        uint32_t pair;
        __builtin_memcpy(&pair, row + 2 * i, sizeof pair);
        pair = (pair & other) | (uint32_t)(uint16_t)q[i] << shift;
        __builtin_memcpy(row + 2 * i, &pair, sizeof pair);
    }
}
