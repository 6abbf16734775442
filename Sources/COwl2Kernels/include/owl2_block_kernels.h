// Kernels for weights in GGUF's blocks (Q8_0, Q4_0, Q4_K, Q6_K): activations are quantised to bytes, products are summed
// as integers inside a group of 32 and as Float32 over the groups.
//
// A prepared row holds the activations of k columns (a multiple of 32), in stretches of 512:
//
//   int8_t q[512]               x / scale, rounded, at most 127 in magnitude, in the order of the table's `place`
//   float scale[16]             of each group: max |x| / 127 in 22 significant bits; NaN where an element is not finite or
//                               is 2^100 or more
//   int32_t less8[16]           -8 times the sum of each group's q: what an offset of the weights' numbers by 8 adds to a
//                               product, taken back
//   int16_t less_halves[16][2]  minus the sums of each group's first 16 and last 16 q
//
// Groups behind the row's end are zeros. Rows stand in tiles of OWL2_TILE_ROWS, or fewer in the last one, and a tile holds the
// first stretches of its rows side by side, then their second ones ..., as a product reads them. AMX has another arrangement of
// the same size for tiles of many rows (block_amx.c).
//
// For every output the sum has one order, whatever the instruction set and the number of rows: 16 partial sums, of which
// number c adds the groups c, c + 16, c + 32 ... in turn by
//
//   partial = fma(integer sum * activations' scale, weights' scale, partial)
//   partial = fma(less8 * activations' scale, weights' minimum / 8, partial)   for Q4_K
//
// and then partial sums i and i + 8, i and i + 4, i and i + 2, 0 and 1 are added. The integer sum of Q6_K has the products
// of each half of a group times the half's own scale, and stays below 2^24.
#pragma once

#include "owl2_kernels.h"

// Elements of a group, columns that are prepared together, bytes of a prepared stretch and rows of a tile.
enum { OWL2_GROUP = 32, OWL2_PART_COLUMNS = 128, OWL2_STRETCH_BYTES = 704, OWL2_TILE_ROWS = 32 };

// The number of stretches of k columns.
static inline size_t owl2_stretches(size_t k) { return (k + 511) / 512; }

// Bytes of a prepared row of k columns. The tile that begins with row i stands i times as many behind the first.
static inline size_t owl2_prepared_bytes(size_t k) { return owl2_stretches(k) * OWL2_STRETCH_BYTES; }

// Bytes behind the first of some prepared rows.
typedef struct {
    size_t element, scale;
} owl2_place;

typedef struct {
    const char *name;

    // Where element `column` of row i of m prepared rows stands, and the scale of its group.
    owl2_place (*place)(size_t i, size_t m, size_t k, size_t column);

    // Prepares n activations at x as columns from `from` on of row i of m rows of k columns. Both are multiples of
    // OWL2_PART_COLUMNS, but for n where these are the last columns.
    void (*prepare)(const float *x, size_t from, size_t n, size_t k, void *rows, size_t i, size_t m);

    // Bytes of memory that a product of m rows of k columns works in.
    size_t (*working_bytes)(size_t m, size_t k);

    // y[i][j] = x[i] . w[j] + bias[j] for the m prepared rows at x and n rows of blocks of `type`. x is the begin of a tile; the
    // rows are whole tiles, or go to the last row. bias may be NULL. x and `working` are aligned to 64.
    void (*product)(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias,
                    float *y, size_t y_stride, void *working);
} owl2_block_kernels;

// The table of an instruction set for a type, or NULL if the kernels of it were not built or this machine lacks it. Rows are
// prepared and multiplied by the same table.
const owl2_block_kernels *owl2_block_kernels_for(owl2_tier tier, owl2_type type);

// The naive twins: the same arithmetic in plain loops.
extern const owl2_block_kernels owl2_block_kernels_reference;
