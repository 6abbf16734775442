// Products by AMX's tiles of bfloat16 (owl2_tile_kernels.h): tdpbf16ps multiplies 16 rows of weights by 16 rows of activations,
// 32 columns of each.
//
// Panels of 16 rows of weights are split for a chunk of columns that the first-level cache holds, and meet all rows; two panels
// and two blocks of rows make four tiles of sums. Sums wait in memory until the next chunk.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_tile_kernels.h"

extern const owl2_kernels owl2_kernels_avx512vnni;

#define TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c,amx-tile,amx-bf16"
#pragma clang attribute push(__attribute__((target(TARGET))), apply_to = function)
#define INLINE static inline __attribute__((always_inline))

#include "parts_amx.inc"

// Steps of a chunk: whole blocks of weights, and few kilobytes of two panels where sums take long to add up.
enum { MOST_STEPS = 32 };
INLINE size_t steps_of_chunk(owl2_type type) { return owl2_row_parts(type) == 1 ? MOST_STEPS : MOST_STEPS / 4; }

// ---------------------------------------------------------------- operands

static size_t prepared_bytes(owl2_type type, size_t m, size_t k) {
    return (m + OWL2_BLOCK_ROWS - 1) / OWL2_BLOCK_ROWS * owl2_steps(k) * owl2_row_parts(type) * TILE_BYTES;
}

static void prepare(owl2_type type, const float *x, size_t x_stride, size_t m, size_t k, void *block) {
    prepare_rows(owl2_row_parts(type), x, x_stride, m, k, block);
}

INLINE __m512 from_bytes(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)); }

// Weights of a step, of which the row has `have` or more, as widened.
INLINE numbers_of_step weights_at(owl2_type type, const char *w, size_t have) {
    if (type == OWL2_F32) return numbers_at((const float *)w, have);
    if (type == OWL2_F16 || type == OWL2_BF16) {
        const __m256i low = _mm256_maskz_loadu_epi16(first_lanes(have), w);
        const __m256i high = _mm256_maskz_loadu_epi16(first_lanes(have > 16 ? have - 16 : 0), w + 32);
        if (type == OWL2_F16) return (numbers_of_step){_mm512_cvtph_ps(low), _mm512_cvtph_ps(high)};
        return (numbers_of_step){from_bfloat16(low), from_bfloat16(high)};
    }
    uint16_t half;
    __builtin_memcpy(&half, w, sizeof half);
    // not _cvtsh_ss, which waits for whatever was in its register before
    const __m512 scale = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
    __m128i first = _mm_loadu_si128((const __m128i *)(w + 2)), last = first;
    if (type == OWL2_Q8_0) {
        last = _mm_loadu_si128((const __m128i *)(w + 18));
    } else {
        const __m128i fours = _mm_set1_epi8(15), eight = _mm_set1_epi8(8);
        last = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(first, 4), fours), eight);
        first = _mm_sub_epi8(_mm_and_si128(first, fours), eight);
    }
    return (numbers_of_step){_mm512_mul_ps(from_bytes(first), scale), _mm512_mul_ps(from_bytes(last), scale)};
}

// Splits some columns of one to 16 rows of weights: for every step and part a tile. Rows that are missing are the last one. The
// rows `ahead` bytes further are fetched meanwhile.
INLINE void pack_panel(owl2_type type, const char *w, size_t row_bytes, size_t rows, size_t columns, size_t ahead, char *panel) {
    const size_t parts = owl2_weight_parts(type);
    float widened[MOST_STEPS * OWL2_STEP];
    for (size_t j = 0; j < 16; j++) {
        const char *row = w + (j < rows ? j : rows - 1) * row_bytes;
        for (size_t at = 0; at < owl2_bytes_of_elements(type, columns); at += 64) _mm_prefetch(row + ahead + at, _MM_HINT_T1);
        const int is_large = type == OWL2_Q4_K || type == OWL2_Q6_K;
        if (is_large) owl2_kernels_avx512vnni.widen(type, row, columns, widened);
        char *to = panel + j * 64;
        for (size_t column = 0; column < columns; column += OWL2_STEP) {
            numbers_of_step x = is_large ? weights_at(OWL2_F32, (const char *)(widened + column), OWL2_STEP)
                                         : weights_at(type, row + owl2_bytes_of_elements(type, column), columns - column);
            for (size_t part = 0; part < parts; part++, to += TILE_BYTES) _mm512_store_si512(to, take_part(&x));
        }
    }
}

// ---------------------------------------------------------------- products

typedef float tile_sums[16][16];

INLINE void load_sums(tile_sums sums[4]) {
    _tile_loadd(0, sums[0], 64), _tile_loadd(1, sums[1], 64), _tile_loadd(2, sums[2], 64), _tile_loadd(3, sums[3], 64);
}

INLINE void store_sums(tile_sums sums[4]) {
    _tile_stored(0, sums[0], 64), _tile_stored(1, sums[1], 64), _tile_stored(2, sums[2], 64), _tile_stored(3, sums[3], 64);
}

// Stores the sums of up to 16 outputs by rows.
static __attribute__((noinline)) void store(tile_sums sums, size_t rows, size_t outputs, const float *bias, float *y,
                                            size_t y_stride) {
    const __mmask16 mask = (__mmask16)((1u << outputs) - 1);
    const __m512 biases = bias ? _mm512_maskz_loadu_ps(mask, bias) : _mm512_setzero_ps();
    __m512 v[16];
#pragma unroll
    for (size_t j = 0; j < 16; j++) v[j] = _mm512_load_ps(sums[j]);
    transpose(v);
#pragma unroll
    for (size_t i = 0; i < 16; i++)
        if (i < rows) _mm512_mask_storeu_ps(y + i * y_stride, mask, _mm512_add_ps(v[i], biases));
}

// Bytes of a panel for a chunk.
INLINE size_t panel_bytes(owl2_type type) { return steps_of_chunk(type) * owl2_weight_parts(type) * TILE_BYTES; }

// Two panels, and four tiles of sums for each two of them and two blocks.
static size_t working_bytes(owl2_type type, size_t m, size_t n, size_t k) {
    const size_t pairs = owl2_steps(k) > steps_of_chunk(type) ? (n + 31) / 32 * ((m + 31) / 32) : 1;
    return 2 * panel_bytes(type) + pairs * 4 * sizeof(tile_sums);
}

INLINE size_t at_most_16(size_t n) { return n < 16 ? n : 16; }

INLINE void product_of(owl2_type type, const char *rows, size_t m, const char *w, size_t n, size_t k, const float *bias, float *y,
                       size_t y_stride, char *working) {
    const size_t steps = owl2_steps(k), at_once = steps_of_chunk(type), row_bytes = owl2_bytes_of_elements(type, k);
    const size_t weight_parts = owl2_weight_parts(type), row_parts = owl2_row_parts(type);
    const size_t bytes_of_step = row_parts * TILE_BYTES, block_bytes = steps * bytes_of_step;
    const owl2_tile_shapes shapes = owl2_tile_shapes_of(64, 16);
    _tile_loadconfig(&shapes);
    for (size_t first = 0; first < steps; first += at_once) {
        const size_t last = first + at_once < steps ? first + at_once : steps, column = first * OWL2_STEP;
        const size_t columns = (last * OWL2_STEP < k ? last * OWL2_STEP : k) - column;
        tile_sums *sums = (tile_sums *)(working + 2 * panel_bytes(type));
        for (size_t j = 0; j < n; j += 32) {
            const char *from = w + j * row_bytes + owl2_bytes_of_elements(type, column);
            const size_t panels = n - j > 16 ? 2 : 1;
            for (size_t p = 0; p < panels; p++)
                pack_panel(type, from + 16 * p * row_bytes, row_bytes, at_most_16(n - j - 16 * p), columns, 32 * row_bytes,
                           working + p * panel_bytes(type));
            for (size_t i = 0; i < m; i += 32) {
                const char *block = rows + i / 16 * block_bytes + first * bytes_of_step;
                const size_t blocks = m - i > 16 ? 2 : 1;
                if (first == 0) begin_sums();
                else load_sums(sums);
                // a panel or block that is alone stands for both
                multiply(tiles_in_order(working, working + (panels - 1) * panel_bytes(type), weight_parts), weight_parts,
                         tiles_in_order(block, block + (blocks - 1) * block_bytes, row_parts), row_parts, last - first);
                store_sums(sums);
                for (size_t t = 0; t < 4 && last == steps; t++)
                    if (t / 2 < panels && t % 2 < blocks)
                        store(sums[t], at_most_16(m - i - t % 2 * 16), at_most_16(n - j - t / 2 * 16),
                              bias ? bias + j + t / 2 * 16 : NULL, y + (i + t % 2 * 16) * y_stride + j + t / 2 * 16, y_stride);
                if (steps > at_once) sums += 4;
            }
        }
    }
    _tile_release();
}

static void product(owl2_type type, const void *rows, size_t m, const void *w, size_t n, size_t k, const float *bias, float *y,
                    size_t y_stride, void *working) {
#define PRODUCT(t) case t: return product_of(t, rows, m, w, n, k, bias, y, y_stride, working)
    switch (type) {
        PRODUCT(OWL2_F32);
        PRODUCT(OWL2_F16);
        PRODUCT(OWL2_BF16);
        PRODUCT(OWL2_Q8_0);
        PRODUCT(OWL2_Q4_0);
        PRODUCT(OWL2_Q4_K);
        PRODUCT(OWL2_Q6_K);
    }
}

const owl2_tile_kernels owl2_tile_kernels_amx = {"AMX", prepared_bytes, prepare, working_bytes, product};
#pragma clang attribute pop
#endif
