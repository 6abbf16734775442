// Attention by AMX's tiles of bfloat16 (owl2_tile_attention.h). Queries and powers are the first operand of products, as rows;
// keys and values the second, as pairs of columns or of keys. Two blocks of 16 query rows meet two blocks of 16 keys, or of 16
// columns of values.
#if defined(__x86_64__)
#include <immintrin.h>

#include "owl2_tile_attention.h"
#include "owl2_tile_kernels.h"

#define TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c,amx-tile,amx-bf16"
#pragma clang attribute push(__attribute__((target(TARGET))), apply_to = function)
#define INLINE static inline __attribute__((always_inline))

#include "parts_amx.inc"

// Keys, or columns, in whole steps; what is missing is zeros.
INLINE size_t padded(size_t n) { return owl2_steps(n) * OWL2_STEP; }

// ---------------------------------------------------------------- keys and values

// For every block of 16 keys, step of columns and part a tile.
INLINE size_t key_bytes(owl2_precision precision, size_t n, size_t columns) {
    return padded(n) / 16 * owl2_steps(columns) * owl2_score_parts(precision) * TILE_BYTES;
}

// For every block of 16 columns, step of keys and part a tile.
INLINE size_t value_bytes(owl2_precision precision, size_t n, size_t columns) {
    return padded(columns) / 16 * owl2_steps(n) * owl2_value_parts(precision) * TILE_BYTES;
}

static size_t prepared_bytes(owl2_precision precision, size_t n, size_t columns) {
    return key_bytes(precision, n, columns) + value_bytes(precision, n, columns);
}

// The next part of 16 columns of two rows, as pairs.
INLINE __m512i take_part_of_pair(numbers_of_step *both) {
    const __m512i part = take_part(both), swapped = _mm512_shuffle_i64x2(part, part, 0x4e);
    const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(part));
    return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(swapped)), 16));
}

INLINE void prepare_values(size_t parts, const float *values, size_t stride, size_t n, size_t columns, char *to) {
    for (size_t column = 0; column < padded(columns); column += 16) {
        const size_t have = columns > column ? columns - column : 0;
        for (size_t step = 0; step < owl2_steps(n); step++, to += parts * TILE_BYTES)
            for (size_t pair = 0; pair < 16; pair++) {
                const size_t key = step * OWL2_STEP + 2 * pair;
                const float *row = values + key * stride + column;
                numbers_of_step both = {_mm512_maskz_loadu_ps(first_lanes(key < n ? have : 0), row),
                                        _mm512_maskz_loadu_ps(first_lanes(key + 1 < n ? have : 0), row + stride)};
                for (size_t part = 0; part < parts; part++)
                    _mm512_store_si512(to + part * TILE_BYTES + pair * 64, take_part_of_pair(&both));
            }
    }
}

static void prepare(owl2_precision precision, const float *keys, const float *values, size_t stride, size_t n, size_t columns,
                    void *head) {
    const size_t bytes = owl2_steps(columns) * owl2_score_parts(precision) * TILE_BYTES;
    for (size_t key = 0; key < padded(n); key += 16) {  // blocks behind the last key repeat it
        const size_t from = key < n ? key : n - 1;
        prepare_rows(owl2_score_parts(precision), keys + from * stride, stride, n - from < 16 ? n - from : 16, columns,
                     (char *)head + key / 16 * bytes);
    }
    prepare_values(owl2_value_parts(precision), values, stride, n, columns, (char *)head + key_bytes(precision, n, columns));
}

// ---------------------------------------------------------------- products

// Rows of parts of bfloat16: part p of row i stands `part_bytes * p + row_bytes * i` behind the first.
typedef struct {
    char *first;
    size_t row_bytes, part_bytes;
} part_rows;

INLINE part_rows rows_at(char *first, size_t columns) {
    return (part_rows){first, columns * 2, OWL2_QUERY_ROWS * columns * 2};
}

INLINE void store_parts(part_rows rows, size_t i, size_t column, numbers_of_step x, size_t parts) {
    char *to = rows.first + i * rows.row_bytes + column * 2;
    for (size_t part = 0; part < parts; part++) _mm512_store_si512(to + part * rows.part_bytes, take_part(&x));
}

// The products of 32 rows with two blocks of columns, of `steps` steps each, as sums whose rows are `stride` apart.
INLINE void multiply_rows(size_t parts, part_rows left, const char *right, size_t steps, float *sums, size_t stride) {
    begin_sums();
    multiply((two_tiles){{left.first, left.first + 16 * left.row_bytes}, left.row_bytes, left.part_bytes, OWL2_STEP * 2}, parts,
             tiles_in_order(right, right + steps * parts * TILE_BYTES, parts), parts, steps);
    _tile_stored(0, sums, stride * 4), _tile_stored(1, sums + 16, stride * 4);
    _tile_stored(2, sums + 16 * stride, stride * 4), _tile_stored(3, sums + 16 * stride + 16, stride * 4);
}

// ---------------------------------------------------------------- powers

// 2^x to 8e-5 of it, or to 2e-8: a polynomial for the fraction.
INLINE __m512 power_of_two(owl2_precision precision, __m512 x) {
    static const float rounded[] = {0x1.c3f2c2p-5f, 0x1.f0de02p-3f, 0x1.62f328p-1f, 0x1.fff694p-1f};
    static const float exact[] = {0x1.41d208p-13f, 0x1.5f4568p-10f, 0x1.3b2dbep-7f, 0x1.c6aed4p-5f,
                                  0x1.ebfbdap-3f,  0x1.62e430p-1f,  1};
    const float *factors = precision == OWL2_EXACT ? exact : rounded;
    const size_t degree = precision == OWL2_EXACT ? 6 : 3;
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 fraction = _mm512_sub_ps(x, whole);
    __m512 sum = _mm512_set1_ps(factors[0]);
#pragma unroll
    for (size_t i = 1; i <= degree; i++) sum = _mm512_fmadd_ps(sum, fraction, _mm512_set1_ps(factors[i]));
    return _mm512_scalef_ps(sum, whole);
}

INLINE float most_of(const float *x, size_t n) {
    const __m512 least = _mm512_set1_ps(-__builtin_inff());
    __m512 most[4] = {least, least, least, least};
    for (size_t i = 0; i < n; i += 64)
#pragma unroll
        for (size_t j = 0; j < 4; j++) {
            const size_t at = i + 16 * j;
            most[j] = _mm512_max_ps(_mm512_mask_loadu_ps(least, first_lanes(at < n ? n - at : 0), x + at), most[j]);
        }
    return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3])));
}

// Parts of the powers 2^(factor (x - most)) of row i's n scores, with zeros behind; gives their sum.
INLINE float powers_of(owl2_precision precision, const float *x, size_t n, float factor, part_rows powers, size_t i) {
    const __m512 times = _mm512_set1_ps(factor), less = _mm512_set1_ps(-most_of(x, n) * factor);
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (size_t column = 0; column < n; column += OWL2_STEP) {
        __m512 some[2];
#pragma unroll
        for (size_t j = 0; j < 2; j++) {
            const size_t at = column + 16 * j;
            const __m512 power = power_of_two(precision, _mm512_fmadd_ps(_mm512_loadu_ps(x + at), times, less));
            some[j] = _mm512_maskz_mov_ps(first_lanes(at < n ? n - at : 0), power);
            sums[j] = _mm512_add_ps(sums[j], some[j]);
        }
        store_parts(powers, i, column, (numbers_of_step){some[0], some[1]}, owl2_value_parts(precision));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
}

// ---------------------------------------------------------------- attention

// Where 32 rows of queries, scores, powers and results stand.
typedef struct {
    part_rows queries, powers;
    float *scores, *results;
    size_t bytes;
} places;

INLINE places places_in(void *working, owl2_precision precision, size_t n, size_t columns) {
    char *at = working;
    places p;
    p.queries = rows_at(at, padded(columns)), at += owl2_score_parts(precision) * p.queries.part_bytes;
    p.powers = rows_at(at, padded(n)), at += owl2_value_parts(precision) * p.powers.part_bytes;
    p.scores = (float *)at, at += OWL2_QUERY_ROWS * padded(n) * sizeof(float);
    p.results = (float *)at, at += OWL2_QUERY_ROWS * padded(columns) * sizeof(float);
    p.bytes = (size_t)(at - (char *)working);
    return p;
}

static size_t working_bytes(owl2_precision precision, size_t n, size_t columns) {
    return places_in(NULL, precision, n, columns).bytes;
}

// Up to 32 rows.
INLINE void attend_some(owl2_precision precision, const float *queries, size_t stride, size_t m, const char *head, size_t n,
                        size_t columns, float *y, size_t y_stride, places at) {
    const size_t width = padded(n), inner = padded(columns);
    for (size_t i = 0; i < m; i++)
        for (size_t column = 0; column < columns; column += OWL2_STEP)
            store_parts(at.queries, i, column, numbers_at(queries + i * stride + column, columns - column),
                        owl2_score_parts(precision));
    const size_t key_steps = owl2_steps(columns), block_bytes = key_steps * owl2_score_parts(precision) * TILE_BYTES;
    for (size_t key = 0; key < width; key += 32)
        multiply_rows(owl2_score_parts(precision), at.queries, head + key / 16 * block_bytes, key_steps, at.scores + key, width);

    float sums[OWL2_QUERY_ROWS];
    const float factor = 1.44269504f / __builtin_sqrtf((float)columns);
    for (size_t i = 0; i < m; i++) sums[i] = powers_of(precision, at.scores + i * width, n, factor, at.powers, i);

    const char *values = head + key_bytes(precision, n, columns);
    const size_t value_steps = owl2_steps(n), column_bytes = value_steps * owl2_value_parts(precision) * TILE_BYTES;
    for (size_t column = 0; column < inner; column += 32)
        multiply_rows(owl2_value_parts(precision), at.powers, values + column / 16 * column_bytes, value_steps,
                      at.results + column, inner);
    for (size_t i = 0; i < m; i++)
        for (size_t column = 0; column < columns; column++)
            y[i * y_stride + column] = at.results[i * inner + column] / sums[i];
}

static void attend(owl2_precision precision, const float *queries, size_t stride, size_t m, const void *head, size_t n,
                   size_t columns, float *y, size_t y_stride, void *working) {
    const owl2_tile_shapes shapes = owl2_tile_shapes_of(64, 16);
    const places at = places_in(working, precision, n, columns);
    // rows that are missing are computed with whatever is there, and not stored
    _tile_loadconfig(&shapes);
    for (size_t i = 0; i < m; i += OWL2_QUERY_ROWS) {
        const size_t some = m - i < OWL2_QUERY_ROWS ? m - i : OWL2_QUERY_ROWS;
        const float *from = queries + i * stride;
        float *to = y + i * y_stride;
        if (precision == OWL2_EXACT) attend_some(OWL2_EXACT, from, stride, some, head, n, columns, to, y_stride, at);
        else attend_some(OWL2_ROUNDED, from, stride, some, head, n, columns, to, y_stride, at);
    }
    _tile_release();
}

const owl2_tile_attention owl2_tile_attention_amx = {"AMX", prepared_bytes, prepare, working_bytes, attend};
#pragma clang attribute pop
#endif
