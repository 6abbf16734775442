// The parts of a prepared row of activations (owl2_block_kernels.h).
#pragma once

#include "owl2_block_kernels.h"

typedef struct {
    int8_t *q;
    float *scale;
    int32_t *sum;
} prepared_row;

static inline prepared_row prepared_row_at(const void *row, size_t k) {
    size_t stretches = owl2_stretches(k);
    int8_t *q = (int8_t *)row;
    float *scale = (float *)(q + stretches * 512);
    return (prepared_row){q, scale, (int32_t *)(scale + stretches * 16)};
}

// Groups whose largest magnitude is below are zeros: 127 over it would be too large for a Float32.
#define OWL2_LEAST_MAGNITUDE 1e-30f

// How many groups belong to partial sum c.
static inline size_t owl2_class_groups(size_t groups, size_t c) { return (groups + 15 - c) / 16; }
