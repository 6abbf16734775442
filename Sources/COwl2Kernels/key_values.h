// Keys and values as bytes with scales, and as halves.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "conversions.h"

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
