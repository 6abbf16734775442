// Products of many rows by tiles of bfloat16, accumulated in Float32.
//
// A Float32 x is the sum of parts of bfloat16, each the rest rounded to the nearest:
//
//   x[0] = bf16(x),  x[1] = bf16(x - x[0]),  x[2] = bf16(x - x[0] - x[1])
//
// Three have all 24 bits of it. An F16 weight has two such parts, a BF16 weight is one. A product x * w is the sum of those
// x[b] * w[a] with a + b < 3; what is left out is below 2^-26 of it. Quantised weights and their activations are rounded to
// one part: half a unit in 256 of each number, where a quantised activation is off by half of 127th of its group's largest.
//
// For every output the sum has one order, whatever the number of rows: over steps of 32 columns, then a, then b,
//
//   sum = sum + (even + odd)
//
// where `even` and `odd` add the 16 products of even and of odd columns in turn, each by a fused operation. It is another order
// than that of the other kernels. Numbers below 2^-126 count as zero.
#pragma once

#include "owl2_kernels.h"

// Columns of a step, and rows of a tile.
enum { OWL2_STEP = 32, OWL2_BLOCK_ROWS = 16 };

// The number of steps of k columns.
static inline size_t owl2_steps(size_t k) { return (k + OWL2_STEP - 1) / OWL2_STEP; }

// The parts of a weight and of an activation beside it.
static inline size_t owl2_weight_parts(owl2_type type) {
    return type == OWL2_F32 ? 3 : type == OWL2_F16 ? 2 : 1;
}
static inline size_t owl2_row_parts(owl2_type type) { return type >= OWL2_Q8_0 ? 1 : 3; }

typedef struct {
    const char *name;

    // Bytes of m prepared rows of k columns: for every block of 16 rows, step and part the tile [16][16][2] of pairs of
    // columns. Columns behind the last are zeros; rows behind the last may be anything.
    size_t (*prepared_bytes)(owl2_type type, size_t m, size_t k);

    // Prepares one to 16 rows of k activations.
    void (*prepare)(owl2_type type, const float *x, size_t x_stride, size_t m, size_t k, void *block);

    // Bytes of memory that a product works in.
    size_t (*working_bytes)(owl2_type type, size_t m, size_t n, size_t k);

    // y[i][j] = x[i] . w[j] + bias[j] for m prepared rows, whole blocks or to the last row, and n rows of weights; bias may be
    // NULL. The prepared rows and `working` are aligned to 64.
    void (*product)(owl2_type type, const void *rows, size_t m, const void *w, size_t n, size_t k, const float *bias,
                    float *y, size_t y_stride, void *working);
} owl2_tile_kernels;

// The table of an instruction set, or NULL if it has no tiles of bfloat16 or this machine lacks it.
const owl2_tile_kernels *owl2_tile_kernels_for(owl2_tier tier);

// The naive twin: the same arithmetic in plain loops.
extern const owl2_tile_kernels owl2_tile_kernels_reference;
