// The parts of a prepared row of activations (owl2_block_kernels.h).
#pragma once

#include "owl2_block_kernels.h"

typedef struct {
    int8_t *q;
    float *scale;
    int32_t *less8;
    int16_t *less_halves;
} prepared_row;

static inline prepared_row prepared_row_at(const void *row, size_t k) {
    size_t stretches = owl2_stretches(k);
    int8_t *q = (int8_t *)row;
    float *scale = (float *)(q + stretches * 512);
    int32_t *less8 = (int32_t *)(scale + stretches * 16);
    return (prepared_row){q, scale, less8, (int16_t *)(less8 + stretches * 16)};
}

// Groups whose largest magnitude is below are zeros: 127 over it would be too large for a Float32.
#define OWL2_LEAST_MAGNITUDE 1e-30f

// How many groups belong to partial sum c.
static inline size_t owl2_class_groups(size_t groups, size_t c) { return (groups + 15 - c) / 16; }

// The order of every table but that of AVX-512 VNNI: group g has the 16-byte place g / 4 in vector g % 4 of 64 bytes for
// its first half, and the same place one vector further for its second half. So four blocks of one weight row, taken
// half by half, meet four groups in one vector.
static inline size_t owl2_place_by_halves(size_t g, size_t i) {
    return g % 4 * 128 + i / 16 * 64 + g / 4 * 16 + i % 16;
}

static inline size_t owl2_no_scratch(size_t m, size_t k) {
    (void)m, (void)k;
    return 0;
}
