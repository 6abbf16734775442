// Kernels for blocks with AMX: tdpbssd multiplies 16 rows of weights by 16 rows of activations, 32 bytes of each. A few rows
// are left to AVX-512 VNNI, whose order of prepared rows they have; and so is Q6_K, whose 16 products with a scale are too few
// to be worth a way through memory.
//
// While tiles are in use one port is left for arithmetic with floats, another for integers. Sums become floats above OWL2_ABOVE
// by an addition of integers, and two fused operations add 32 products to a partial sum.
//
// Groups stand by the partial sum that they belong to, group g by g % 16, in the order in which partial sums are added at the
// end: sums that were waiting are added as soon as both are there, and four levels of them wait at most.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"
#include "tiles.h"

extern const owl2_block_kernels owl2_block_kernels_avx512vnni;

#define TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c,amx-tile,amx-int8"
#pragma clang attribute push(__attribute__((target(TARGET))), apply_to = function)
#define INLINE static inline __attribute__((always_inline))

#include "panel_amx.inc"
#include "quantized_512.inc"
#include "transpose_512.inc"

// Fewer rows of a tile are left to VNNI, so that a tile that is not has two blocks; bytes of activations that stay in the
// second-level cache.
enum { LEAST_ROWS = 24, BLOCK_BYTES = 1500 << 10 };

// ---------------------------------------------------------------- prepared rows

// Sixteen rows of activations at most. For every group, in the order of the partial sums: the bytes of tdpbssd's second
// operand, [8][columns][4]; and of every row the scale, -OWL2_ABOVE * scale, and -8 times the sum of the bytes times scale.
typedef struct {
    char *first;
    size_t columns;
} row_block;

enum { ROW_GROUP_BYTES = OWL2_GROUP + 3 * sizeof(float) };
_Static_assert(ROW_GROUP_BYTES * 16 == OWL2_STRETCH_BYTES, "a prepared row is as large as for other instruction sets");

INLINE size_t rows_of_tile(size_t i, size_t m) {
    const size_t rest = m - i / OWL2_TILE_ROWS * OWL2_TILE_ROWS;
    return rest < OWL2_TILE_ROWS ? rest : OWL2_TILE_ROWS;
}

// The block that has row i of m.
INLINE row_block block_of_row(const void *rows, size_t i, size_t m, size_t k) {
    const size_t first = i / 16 * 16;
    return (row_block){(char *)rows + i / OWL2_TILE_ROWS * OWL2_TILE_ROWS * owl2_prepared_bytes(k) +
                           first % OWL2_TILE_ROWS * (k / OWL2_GROUP) * ROW_GROUP_BYTES,
                       m - first < 16 ? m - first : 16};
}

INLINE float *floats_of_group(const char *group, size_t columns, size_t number) {
    return (float *)(group + (OWL2_GROUP + number * sizeof(float)) * columns);
}

static owl2_place place(size_t i, size_t m, size_t k, size_t column) {
    if (rows_of_tile(i, m) < LEAST_ROWS) return owl2_block_kernels_avx512vnni.place(i, m, k, column);
    const row_block block = block_of_row(NULL, i, m, k);
    const size_t e = column % OWL2_GROUP;
    partial_starts starts = starts_of_partial_sums(k / OWL2_GROUP);
    const char *group = block.first + index_of_group(&starts, column / OWL2_GROUP) * ROW_GROUP_BYTES * block.columns;
    return (owl2_place){(size_t)group + (e / 4 * block.columns + i % 16) * 4 + e % 4,
                        (size_t)(floats_of_group(group, block.columns, 0) + i % 16)};
}

static void prepare(const float *x, size_t from, size_t n, size_t k, void *rows, size_t i, size_t m) {
    if (rows_of_tile(i, m) < LEAST_ROWS) return owl2_block_kernels_avx512vnni.prepare(x, from, n, k, rows, i, m);
    const row_block block = block_of_row(rows, i, m, k);
    const size_t column = i % 16;
    const partial_starts starts = starts_of_partial_sums(k / OWL2_GROUP);
    for (size_t g = from / OWL2_GROUP; g < (from + n) / OWL2_GROUP; g++, x += OWL2_GROUP) {
        const quantized_group group = quantized(x);
        char *to = block.first + index_of_group(&starts, g) * ROW_GROUP_BYTES * block.columns;
        const float scale = owl2_group_scale(group.most);
        int32_t fours[8];
        _mm256_storeu_si256((__m256i *)fours, group.bytes);
#pragma unroll
        for (size_t d = 0; d < 8; d++) __builtin_memcpy(to + (d * block.columns + column) * 4, fours + d, 4);
        floats_of_group(to, block.columns, 0)[column] = scale;
        floats_of_group(to, block.columns, 1)[column] = -OWL2_ABOVE * scale;
        floats_of_group(to, block.columns, 2)[column] = (float)(-8 * (group.first + group.last)) * scale;
    }
}

#include "square_amx.inc"

// ---------------------------------------------------------------- products

static size_t working_bytes(size_t m, size_t k) {
    const size_t of_few = owl2_block_kernels_avx512vnni.working_bytes(LEAST_ROWS - 1, k);
    const size_t of_many = rows_of_tile(0, m) < LEAST_ROWS ? 0 : 2 * (k / OWL2_GROUP) * sizeof(weight_group);
    return of_few > of_many ? of_few : of_many;
}

INLINE void product_of(owl2_type type, const void *x, size_t m, const char *w, size_t n, size_t k, const float *bias, float *y,
                       size_t y_stride, void *working) {
    const size_t groups = k / OWL2_GROUP, row_bytes = owl2_bytes_of_groups(type, groups);
    const size_t few = m % OWL2_TILE_ROWS < LEAST_ROWS ? m % OWL2_TILE_ROWS : 0, many = m - few;
    if (few)
        owl2_block_kernels_avx512vnni.product(type, (const char *)x + many * owl2_prepared_bytes(k), few, w, n, k, bias,
                                              y + many * y_stride, y_stride, working);
    if (!many) return;
    const size_t at_once = owl2_rows_of_block(many, BLOCK_BYTES, k, OWL2_TILE_ROWS);
    size_t columns = 0;
    for (size_t from = 0; from < many; from += at_once) {
        const size_t to = from + at_once < many ? from + at_once : many;
        for (size_t j = 0; j < n; j += SQUARE) {
            const size_t outputs = n - j < SQUARE ? n - j : SQUARE;
            weight_group *const panels = working;
            square q = {.panels = {panels, outputs > 16 ? panels + groups : panels}, .groups = groups, .n = outputs,
                        .bias = bias ? bias + j : NULL, .y_stride = y_stride};
            for (size_t p = 0; p * 16 < outputs; p++)
                pack_panel(type, w + (j + p * 16) * row_bytes, outputs - p * 16 < 16 ? outputs - p * 16 : 16, groups,
                           SQUARE * row_bytes, panels + p * groups);
            for (size_t i = from; i < to; i += SQUARE) {
                q.blocks[0] = block_of_row(x, i, m, k), q.blocks[1] = block_of_row(x, i + 16, m, k);
                if (q.blocks[1].columns != columns) {
                    const owl2_tile_shapes shapes = owl2_tile_shapes_of(OWL2_GROUP, columns = q.blocks[1].columns);
                    _tile_loadconfig(&shapes);
                }
                q.y = y + i * y_stride + j;
                owl2_ask_for_outputs(q.y, to - i < SQUARE ? to - i : SQUARE, outputs, y_stride);
                multiply_square(type, &q);
            }
        }
    }
    _tile_release();
}

static void product(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias, float *y,
                    size_t y_stride, void *working) {
    switch (type) {
    case OWL2_Q8_0: return product_of(OWL2_Q8_0, x, m, w, n, k, bias, y, y_stride, working);
    case OWL2_Q4_0: return product_of(OWL2_Q4_0, x, m, w, n, k, bias, y, y_stride, working);
    default: return product_of(OWL2_Q4_K, x, m, w, n, k, bias, y, y_stride, working);
    }
}

const owl2_block_kernels owl2_block_kernels_amx = {"AMX", place, prepare, working_bytes, product};
#pragma clang attribute pop
#endif
