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
// second-level cache; groups of a batch; AMX's tiles, after four of sums.
enum {
    LEAST_ROWS = 24,
    BLOCK_BYTES = 1500 << 10,
    MOST_GROUPS = 2,
    WEIGHTS = OWL2_FIRST_TILE_OF_WEIGHTS,
    ROWS = OWL2_FIRST_TILE_OF_ROWS
};

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

static void prepare(const float *x, size_t k, void *rows, size_t i, size_t m) {
    if (rows_of_tile(i, m) < LEAST_ROWS) return owl2_block_kernels_avx512vnni.prepare(x, k, rows, i, m);
    const row_block block = block_of_row(rows, i, m, k);
    const size_t groups = k / OWL2_GROUP, column = i % 16;
    const partial_starts starts = starts_of_partial_sums(groups);
    for (size_t g = 0; g < groups; g++, x += OWL2_GROUP) {
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

// ---------------------------------------------------------------- products

// Two panels, of which the second may be the first once more, and two neighbouring blocks.
typedef struct {
    const weight_group *panels[2];
    row_block blocks[2];
    size_t groups;
} operands;

// Groups of one partial sum whose products are made before they are added; those of it that came before and come behind.
typedef struct {
    size_t rank, first, count, before, behind;
} batch;

INLINE void take_groups(batch *b) {
    b->count = b->behind < MOST_GROUPS ? b->behind : MOST_GROUPS;
    b->behind -= b->count;
}

INLINE batch first_batch(const operands *o) {
    batch b = {.behind = groups_of_partial_sum(0, o->groups)};
    take_groups(&b);
    return b;
}

// Behind the last one comes an empty one of rank 16.
INLINE batch next_batch(batch b, const operands *o) {
    b.first += b.count, b.before += b.count;
    if (b.behind == 0) {
        b.before = 0;
        b.behind = ++b.rank < 16 ? groups_of_partial_sum(b.rank, o->groups) : 0;
    }
    take_groups(&b);
    return b;
}

// The sums of a panel with a block; those of panel p and block b have number 2 p + b, in a batch and among the tiles.
typedef int32_t tile_sums[16][16];
typedef tile_sums batch_sums[4][MOST_GROUPS];

// The products of a batch that are left, the operands of the next ones, and where the sums of their group and of the group
// before go: those of group g stand MOST_GROUPS apart.
typedef struct {
    size_t next, count, columns[2];
    const weight_group *w[2];
    const char *x[2];
    tile_sums *sums, *sums_before;
} products;

INLINE void begin(products *p, const batch *b, const operands *o, batch_sums sums) {
    for (size_t i = 0; i < 2; i++) {
        p->columns[i] = o->blocks[i].columns;
        p->w[i] = o->panels[i] + b->first;
        p->x[i] = o->blocks[i].first + b->first * ROW_GROUP_BYTES * p->columns[i];
    }
    p->sums = sums[0];
    p->next = 0, p->count = 4 * b->count;
}

#define LOAD_WEIGHTS(p, i) _tile_loadd(WEIGHTS + (i), (p)->w[i]->q, OWL2_GROUP)
#define LOAD_ROWS(p, i) _tile_loadd(ROWS + (i), (p)->x[i], 4 * (p)->columns[i])
#define MULTIPLY(panel, block) \
    _tile_zero(2 * (panel) + (block)), _tile_dpbssd(2 * (panel) + (block), WEIGHTS + (panel), ROWS + (block))
#define STORE_SUMS(number, sums) _tile_stored(number, (sums) + (number) * MOST_GROUPS, 64)

// Makes the next product, if there is one, and stores the sums of the last but one. Each operand is loaded once for two products.
INLINE void multiply_next(products *p) {
    if (p->next == p->count) return;
    switch (p->next++ % 4) {
    case 0:
        LOAD_WEIGHTS(p, 0), LOAD_ROWS(p, 0);
        MULTIPLY(0, 0);
        STORE_SUMS(2, p->sums_before);
        break;
    case 1:
        LOAD_ROWS(p, 1);
        MULTIPLY(0, 1);
        STORE_SUMS(3, p->sums_before);
        break;
    case 2:
        LOAD_WEIGHTS(p, 1);
        MULTIPLY(1, 0);
        STORE_SUMS(0, p->sums);
        break;
    default:
        MULTIPLY(1, 1);
        STORE_SUMS(1, p->sums);
        p->sums_before = p->sums++;
        for (size_t i = 0; i < 2; i++) p->w[i]++, p->x[i] += ROW_GROUP_BYTES * p->columns[i];
    }
}

INLINE void multiply_rest(products *p) {
    while (p->next < p->count) multiply_next(p);
}

// Adds a group's sums to a partial sum of 16 outputs.
INLINE void add_group(owl2_type type, const weight_group *w, const char *x, size_t columns, __mmask16 mask, tile_sums sums,
                      __m512 partial[16]) {
    const __m512 scale = _mm512_maskz_loadu_ps(mask, floats_of_group(x, columns, 0));
    const __m512 less_above = _mm512_maskz_loadu_ps(mask, floats_of_group(x, columns, 1));
    const __m512 less8 = _mm512_maskz_loadu_ps(mask, floats_of_group(x, columns, 2));
    const __m512i above = _mm512_castps_si512(_mm512_set1_ps(OWL2_ABOVE));
#pragma unroll
    for (size_t j = 0; j < 16; j++) {
        const __m512i sum = _mm512_add_epi32(_mm512_load_si512(sums[j]), above);
        const __m512 scaled = _mm512_fmadd_ps(_mm512_castsi512_ps(sum), scale, less_above);
        partial[j] = _mm512_fmadd_ps(scaled, _mm512_set1_ps(w->scale[j]), partial[j]);
        if (type == OWL2_Q4_K) partial[j] = _mm512_fmadd_ps(less8, _mm512_set1_ps(w->minimum[j]), partial[j]);
    }
}

// Adds what waits for it to partial sum number `rank` of the order; it is complete if that was the last.
INLINE void add_waiting(size_t rank, __m512 partial[16], __m512 waiting[4][16]) {
    size_t level = 0;
    for (; rank >> level & 1; level++)
#pragma unroll
        for (size_t j = 0; j < 16; j++) partial[j] = _mm512_add_ps(waiting[level][j], partial[j]);
    if (level == 4) return;
#pragma unroll
    for (size_t j = 0; j < 16; j++) waiting[level][j] = partial[j];
}

// Stores sums of 16 outputs, of which the first `outputs` are wanted, by rows of activations.
INLINE void store(__m512 sums[16], size_t columns, size_t outputs, const float *bias, float *y, size_t y_stride) {
    const __mmask16 mask = (__mmask16)((1u << outputs) - 1);
    const __m512 biases = bias ? _mm512_maskz_loadu_ps(mask, bias) : _mm512_setzero_ps();
    transpose(sums);
#pragma unroll
    for (size_t i = 0; i < 16; i++)
        if (i < columns) _mm512_mask_storeu_ps(y + i * y_stride, mask, _mm512_add_ps(sums[i], biases));
}

// The outputs of n rows of weights for all rows of the blocks. While a batch is added, the products of the next one are made.
INLINE void tile(owl2_type type, const operands *o, size_t n, const float *bias, float *y, size_t y_stride) {
    __m512 unfinished[4][16], waiting[4][4][16];
    batch_sums sums[2] __attribute__((aligned(64)));
    batch now = first_batch(o);
    products p = {.sums_before = sums[1][0]};
    begin(&p, &now, o, sums[0]);
    multiply_rest(&p);
    for (size_t turn = 0; now.rank < 16; turn ^= 1) {
        const batch next = next_batch(now, o);
        begin(&p, &next, o, sums[turn ^ 1]);
        if (next.count == 0) STORE_SUMS(2, p.sums_before), STORE_SUMS(3, p.sums_before);
#pragma clang loop unroll(disable)
        for (size_t number = 0; number < 4; number++) {
            const size_t j = 16 * (number / 2), block = number % 2, columns = o->blocks[block].columns;
            const __mmask16 mask = (__mmask16)((1u << columns) - 1);
            const weight_group *w = o->panels[number / 2] + now.first;
            const char *x = o->blocks[block].first + now.first * ROW_GROUP_BYTES * columns;
            __m512 partial[16];
#pragma unroll
            for (size_t e = 0; e < 16; e++) partial[e] = now.before ? unfinished[number][e] : _mm512_setzero_ps();
            for (size_t g = 0; g < now.count; g++, x += ROW_GROUP_BYTES * columns) {
                multiply_next(&p);
                add_group(type, w + g, x, columns, mask, sums[turn][number][g], partial);
            }
            if (now.behind) {
#pragma unroll
                for (size_t e = 0; e < 16; e++) unfinished[number][e] = partial[e];
                continue;
            }
            add_waiting(now.rank, partial, waiting[number]);
            if (now.rank < 15 || n <= j) continue;
            store(partial, columns, n - j < 16 ? n - j : 16, bias ? bias + j : 0, y + 16 * block * y_stride + j, y_stride);
        }
        multiply_rest(&p);
        now = next;
    }
}

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
    const size_t at_once = owl2_rows_of_block(BLOCK_BYTES, k, OWL2_TILE_ROWS);
    size_t columns = 0;
    for (size_t from = 0; from < many; from += at_once) {
        const size_t to = from + at_once < many ? from + at_once : many;
        for (size_t j = 0; j < n; j += 32) {
            const size_t outputs = n - j < 32 ? n - j : 32;
            weight_group *const panels = working;
            operands o = {.panels = {panels, outputs > 16 ? panels + groups : panels}, .groups = groups};
            for (size_t p = 0; p * 16 < outputs; p++)
                pack_panel(type, w + (j + p * 16) * row_bytes, outputs - p * 16 < 16 ? outputs - p * 16 : 16, groups,
                           32 * row_bytes, panels + p * groups);
            for (size_t i = from; i < to; i += 32) {
                o.blocks[0] = block_of_row(x, i, m, k), o.blocks[1] = block_of_row(x, i + 16, m, k);
                if (o.blocks[1].columns != columns) {
                    const owl2_tile_shapes shapes = owl2_tile_shapes_of(OWL2_GROUP, columns = o.blocks[1].columns);
                    _tile_loadconfig(&shapes);
                }
                tile(type, &o, outputs, bias ? bias + j : 0, y + i * y_stride + j, y_stride);
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
