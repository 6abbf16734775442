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

// Fewer rows of a tile are left to VNNI; bytes of activations that stay in the second-level cache; panels that share them.
enum { LEAST_ROWS = 24, BLOCK_BYTES = 1200 << 10, PANELS = 2 };

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

// Tiles of sums follow each other round: one is begun while an earlier one is stored and the sums of another, which left it,
// are added.
enum { SUMS_IN_TURN = OWL2_TILES_OF_SUMS, WEIGHTS = OWL2_FIRST_TILE_OF_WEIGHTS, ROWS = OWL2_FIRST_TILE_OF_ROWS };

// What is multiplied: one or two neighbouring blocks of as many rows, by one or more panels.
typedef struct {
    row_block x;
    const weight_group *panels;
    size_t groups, block_count, panel_count;
} operands;

// The groups of one partial sum, of a panel and a block.
typedef struct {
    size_t rank, panel, block, first, count;
} run;

INLINE run first_run(const operands *o) { return (run){.count = groups_of_partial_sum(0, o->groups)}; }

INLINE void advance(run *r, const operands *o) {
    if (++r->block < o->block_count) return;
    r->block = 0;
    if (++r->panel < o->panel_count) return;
    r->panel = 0;
    r->first += r->count;
    r->count = ++r->rank < 16 ? groups_of_partial_sum(r->rank, o->groups) : 0;
}

INLINE const weight_group *weights_of(const run *r, const operands *o) {
    return o->panels + r->panel * o->groups + r->first;
}

INLINE const char *rows_of(const run *r, const operands *o) {
    return o->x.first + (r->block * o->groups + r->first) * ROW_GROUP_BYTES * o->x.columns;
}

// The next group to be multiplied, of all runs.
typedef struct {
    run at;
    size_t left;  // groups of this run
    const weight_group *w;
    const char *x;
} position;

INLINE void begin(position *p, const operands *o) {
    p->left = p->at.count, p->w = weights_of(&p->at, o), p->x = rows_of(&p->at, o);
}

typedef int32_t tile_sums[16][16];

// Whether a group is left.
INLINE int find(position *next, const operands *o) {
    while (next->left == 0) {
        if (next->at.rank == 16) return 0;
        advance(&next->at, o);
        begin(next, o);
    }
    return 1;
}

INLINE void go_on(position *next, const operands *o) { next->left--, next->w++, next->x += ROW_GROUP_BYTES * o->x.columns; }

// Multiplies the next group, if there is one, into a tile: numbers of tiles are parts of instructions.
#define MULTIPLY(turn, next, o)                                                                           \
    if (find(next, o))                                                                                    \
        _tile_loadd(WEIGHTS + (turn) % 2, (next)->w->q, OWL2_GROUP),                                      \
            _tile_loadd(ROWS + (turn) % 2, (next)->x, 4 * (o)->x.columns), _tile_zero(turn),              \
            _tile_dpbssd(turn, WEIGHTS + (turn) % 2, ROWS + (turn) % 2), go_on(next, o)

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

// A turn of the loop over the groups of a run: while the sums of a group are used, those of the next one are stored, and the
// group after the next two is multiplied. The loop has a copy for every tile of sums, whose addresses are constants then.
#define STEP(turn)                                                                                             \
    case turn:                                                                                                 \
        MULTIPLY(((turn) + 3) % SUMS_IN_TURN, &next, o);                                                       \
        _tile_stored(((turn) + 1) % SUMS_IN_TURN, sums[((turn) + 1) % SUMS_IN_TURN], 64);                      \
        add_group(type, w++, x, columns, mask, sums[turn], partial);                                           \
        x += ROW_GROUP_BYTES * columns;                                                                        \
        if (--left == 0 || (turn) + 1 == SUMS_IN_TURN) {                                                       \
            now = ((turn) + 1) % SUMS_IN_TURN;                                                                 \
            break;                                                                                             \
        }

// The outputs of n rows of weights for all rows of the blocks.
INLINE void tile(owl2_type type, const operands *o, size_t n, const float *bias, float *y, size_t y_stride) {
    __m512 waiting[PANELS][2][4][16];
    tile_sums sums[SUMS_IN_TURN] __attribute__((aligned(64)));
    const size_t columns = o->x.columns;
    const __mmask16 mask = (__mmask16)((1u << columns) - 1);
    position next = {.at = first_run(o)};
    begin(&next, o);
    MULTIPLY(0, &next, o);
    MULTIPLY(1, &next, o);
    MULTIPLY(2, &next, o);
    _tile_stored(0, sums[0], 64);
    size_t now = 0;
    for (run r = first_run(o); r.rank < 16; advance(&r, o)) {
        const weight_group *w = weights_of(&r, o);
        const char *x = rows_of(&r, o);
        __m512 partial[16];
#pragma unroll
        for (size_t j = 0; j < 16; j++) partial[j] = _mm512_setzero_ps();
        for (size_t left = r.count; left > 0;) switch (now) {
            STEP(0)
            STEP(1)
            STEP(2)
            STEP(3)
        }
        add_waiting(r.rank, partial, waiting[r.panel][r.block]);
        if (r.rank < 15) continue;
        const size_t j = 16 * r.panel, outputs = n - j < 16 ? n - j : 16;
        store(partial, columns, outputs, bias ? bias + j : 0, y + 16 * r.block * y_stride + j, y_stride);
    }
}

static size_t working_bytes(size_t m, size_t k) {
    const size_t of_few = owl2_block_kernels_avx512vnni.working_bytes(LEAST_ROWS - 1, k);
    const size_t of_many = rows_of_tile(0, m) < LEAST_ROWS ? 0 : PANELS * (k / OWL2_GROUP) * sizeof(weight_group);
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
        for (size_t j = 0; j < n; j += 16 * PANELS) {
            const size_t outputs = n - j < 16 * PANELS ? n - j : 16 * PANELS;
            for (size_t p = 0; p * 16 < outputs; p++)
                pack_panel(type, w + (j + p * 16) * row_bytes, outputs - p * 16 < 16 ? outputs - p * 16 : 16, groups,
                           16 * PANELS * row_bytes, (weight_group *)working + p * groups);
            operands o = {.panels = working, .groups = groups, .panel_count = (outputs + 15) / 16};
            for (size_t i = from; i < to; i += 16 * o.block_count) {
                o.x = block_of_row(x, i, m, k);
                o.block_count = to - i < 32 ? 1 : 2;
                if (o.x.columns != columns) {
                    const owl2_tile_shapes shapes = owl2_tile_shapes_of(OWL2_GROUP, columns = o.x.columns);
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
