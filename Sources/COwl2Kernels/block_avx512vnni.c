// Kernels for blocks with AVX-512 VNNI: vpdpbusd adds four products of an unsigned and a signed byte. Weights are made
// unsigned by an offset (128 for Q8_0, 8 for Q4_0), which is taken back as offset * sum of the group's activations.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"
#include "transpose_256.h"

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#define INLINE static inline __attribute__((always_inline))

enum { TILE_ROWS = 6, DIRECT_ROWS = 4, DIRECT_MOST = 8, PREFETCH = 4096 };

INLINE size_t block_bytes(owl2_type type) { return type == OWL2_Q8_0 ? 34 : 18; }
INLINE int offset_shift(owl2_type type) { return type == OWL2_Q8_0 ? 7 : 3; }

static void prepare(const float *x, size_t k, void *row) {
    prepared_row p = prepared_row_at(row, k);
    size_t groups = k / OWL2_GROUP, padded = owl2_stretches(k) * 16;
    for (size_t group = 0; group < padded; group++) {
        __m512 a = _mm512_setzero_ps(), b = a;
        if (group < groups) a = _mm512_loadu_ps(x + group * 32), b = _mm512_loadu_ps(x + group * 32 + 16);
        __m512i magnitude = _mm512_max_epu32(_mm512_castps_si512(_mm512_abs_ps(a)), _mm512_castps_si512(_mm512_abs_ps(b)));
        uint32_t bits = _mm512_reduce_max_epu32(magnitude);
        float most = bits >= 0x7f800000 ? __builtin_nanf("") : owl2_float_from_bits(bits);
        __m512 inverse = _mm512_set1_ps(most > OWL2_LEAST_MAGNITUDE ? 127 / most : 0);
        __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)), high = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
        if (bits >= 0x7f800000) low = high = _mm512_setzero_si512();
        int8_t *q = p.q + group / 16 * 512 + owl2_prepared_offset(group % 16, 0);
        _mm_storeu_si128((__m128i *)q, _mm512_cvtsepi32_epi8(low));
        _mm_storeu_si128((__m128i *)(q + 64), _mm512_cvtsepi32_epi8(high));
        p.scale[group] = most / 127;
        p.sum[group] = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
    }
}

// ---------------------------------------------------------------- a few rows: weights straight from where they are stored

// The scales of 16 neighbouring blocks.
INLINE __m512 stretch_scales(owl2_type type, const char *w) {
    __m256i halves;
    if (type == OWL2_Q4_0) {
        const __m512i nth = _mm512_castsi128_si512(_mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63));
        __m512i first = _mm512_permutex2var_epi16(_mm512_loadu_si512(w), nth, _mm512_loadu_si512(w + 64));
        __m512i second = _mm512_permutex2var_epi16(_mm512_loadu_si512(w + 144), nth, _mm512_loadu_si512(w + 208));
        halves = _mm256_inserti128_si256(_mm512_castsi512_si256(first), _mm512_castsi512_si128(second), 1);
    } else {
        const __m512i nth = _mm512_castsi128_si512(_mm_setr_epi16(0, 17, 34, 51, 0, 0, 0, 0));
        __m128i four[4];
#pragma unroll
        for (size_t i = 0; i < 4; i++)
            four[i] = _mm512_castsi512_si128(_mm512_permutex2var_epi16(
                _mm512_loadu_si512(w + 136 * i), nth, _mm512_loadu_si512(w + 136 * i + 64)));
        halves = _mm256_set_m128i(_mm_unpacklo_epi64(four[2], four[3]), _mm_unpacklo_epi64(four[0], four[1]));
    }
    return _mm512_cvtph_ps(halves);
}

INLINE __m512i four_places(const char *w, size_t stride) {
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)w));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(w + 4 * stride)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(w + 8 * stride)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(w + 12 * stride)), 3);
}

// Adds one stretch of a weight row to the partial sums of `rows` rows of activations.
INLINE void direct_stretch(owl2_type type, const size_t rows, const char *w, const prepared_row *x, size_t stretch,
                           __m512 *partial) {
    const size_t stride = block_bytes(type);
    const __m512i low_bits = _mm512_set1_epi8(15), sign = _mm512_set1_epi8((char)0x80);
    __m512i sum[DIRECT_ROWS][4];
#pragma unroll
    for (size_t e = 0; e < 4; e++) {
        __m512i low = four_places(w + e * stride + 2, stride), high;
        if (type == OWL2_Q8_0) {
            high = _mm512_xor_si512(four_places(w + e * stride + 18, stride), sign);
            low = _mm512_xor_si512(low, sign);
        } else {
            high = _mm512_and_si512(_mm512_srli_epi16(low, 4), low_bits);
            low = _mm512_and_si512(low, low_bits);
        }
#pragma unroll
        for (size_t i = 0; i < rows; i++) {
            const int8_t *q = x[i].q + stretch * 512 + e * 128;
            __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), low, _mm512_load_si512(q));
            sum[i][e] = _mm512_dpbusd_epi32(dot, high, _mm512_load_si512(q + 64));
        }
    }
    __m512 scale = stretch_scales(type, w);
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
        __m512i *s = sum[i];
        __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
        __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
        __m512i total = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        __m512i offset = _mm512_slli_epi32(_mm512_load_si512(x[i].sum + stretch * 16), offset_shift(type));
        total = _mm512_sub_epi32(total, offset);
        partial[i] = _mm512_fmadd_ps(
            _mm512_cvtepi32_ps(total), _mm512_mul_ps(scale, _mm512_load_ps(x[i].scale + stretch * 16)), partial[i]);
    }
}

INLINE float sum_partials(__m512 v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

// One weight row with `rows` rows of activations.
INLINE void direct_row(owl2_type type, const size_t rows, const prepared_row *x, const char *w, size_t groups,
                       float bias, float *y, size_t y_stride) {
    const size_t stretch_bytes = 16 * block_bytes(type), rest = groups % 16 * block_bytes(type);
    __m512 partial[DIRECT_ROWS];
    for (size_t i = 0; i < rows; i++) partial[i] = _mm512_setzero_ps();
    for (size_t s = 0; s < groups / 16; s++, w += stretch_bytes) {
        for (size_t line = 0; line < stretch_bytes; line += 64) _mm_prefetch(w + PREFETCH + line, _MM_HINT_T0);
        direct_stretch(type, rows, w, x, s, partial);
    }
    if (rest) {
        char padded[16 * 34] = {0};
        __builtin_memcpy(padded, w, rest);
        direct_stretch(type, rows, padded, x, groups / 16, partial);
    }
    for (size_t i = 0; i < rows; i++) y[i * y_stride] = sum_partials(partial[i]) + bias;
}

INLINE void direct(owl2_type type, const void *x, size_t m, const char *w, size_t n, size_t k, const float *bias,
                   float *y, size_t y_stride) {
    prepared_row row[DIRECT_MOST];
    for (size_t i = 0; i < m; i++) row[i] = prepared_row_at((const char *)x + i * owl2_prepared_bytes(k), k);
    const size_t groups = k / OWL2_GROUP;
    for (size_t j = 0; j < n; j++, w += groups * block_bytes(type)) {
        const float b = bias ? bias[j] : 0;
        size_t i = 0;
        for (; i + DIRECT_ROWS <= m; i += DIRECT_ROWS)
            direct_row(type, DIRECT_ROWS, row + i, w, groups, b, y + i * y_stride + j, y_stride);
        switch (m - i) {
        case 3: direct_row(type, 3, row + i, w, groups, b, y + i * y_stride + j, y_stride); break;
        case 2: direct_row(type, 2, row + i, w, groups, b, y + i * y_stride + j, y_stride); break;
        case 1: direct_row(type, 1, row + i, w, groups, b, y + i * y_stride + j, y_stride); break;
        default: break;
        }
    }
}

// ---------------------------------------------------------------- many rows: a panel of weights is packed first

// Packs up to 32 weight rows: for partial sum c and stretch s, 8 steps of 4 elements for 32 outputs, as unsigned bytes;
// the scales of 32 outputs stand in `scales` in the same order.
INLINE void pack(owl2_type type, const char *w, size_t n, size_t groups, size_t stretches, uint8_t *panel, float *scales) {
    const size_t bytes = block_bytes(type);
    for (size_t j0 = 0; j0 < OWL2_PANEL_OUTPUTS; j0 += 8) {
        const char *row[8];
        for (size_t j = 0; j < 8; j++) row[j] = w + (j0 + j < n ? j0 + j : n - 1) * groups * bytes;
        for (size_t group = 0; group < groups; group++) {
            size_t at = group % 16 * stretches + group / 16;
            __m256i r[8];
            for (size_t j = 0; j < 8; j++) {
                const char *block = row[j] + group * bytes;
                uint16_t half;
                __builtin_memcpy(&half, block, 2);
                scales[at * OWL2_PANEL_OUTPUTS + j0 + j] = _cvtsh_ss(half);
                if (type == OWL2_Q8_0) {
                    r[j] = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(block + 2)), _mm256_set1_epi8((char)0x80));
                } else {
                    __m128i q = _mm_loadu_si128((const __m128i *)(block + 2));
                    __m256i both = _mm256_set_m128i(_mm_srli_epi16(q, 4), q);
                    r[j] = _mm256_and_si256(both, _mm256_set1_epi8(15));
                }
            }
            owl2_transpose_8x8(r);
            uint8_t *to = panel + at * 32 * OWL2_PANEL_OUTPUTS + j0 * 4;
            for (size_t d = 0; d < 8; d++) _mm256_store_si256((__m256i *)(to + d * 4 * OWL2_PANEL_OUTPUTS), r[d]);
        }
    }
}

// The products of `rows` rows with a packed panel: [rows][32] to `out`.
INLINE void packed_tile(owl2_type type, const size_t rows, const prepared_row *x, const uint8_t *panel,
                        const float *scales, size_t groups, size_t stretches, float out[][OWL2_PANEL_OUTPUTS]) {
    __m512 partial[16][TILE_ROWS][2];
    for (size_t c = 0; c < 16; c++) {
        __m512 sum[TILE_ROWS][2];
#pragma unroll
        for (size_t i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
        const uint8_t *w = panel + c * stretches * 32 * OWL2_PANEL_OUTPUTS;
        const float *scale = scales + c * stretches * OWL2_PANEL_OUTPUTS;
        const size_t place = owl2_prepared_offset(c, 0), count = owl2_class_groups(groups, c);
        for (size_t s = 0; s < count; s++, w += 32 * OWL2_PANEL_OUTPUTS, scale += OWL2_PANEL_OUTPUTS) {
            __m512i dot[TILE_ROWS][2];
#pragma unroll
            for (size_t i = 0; i < rows; i++)
                dot[i][0] = dot[i][1] = _mm512_set1_epi32(-(x[i].sum[s * 16 + c] << offset_shift(type)));
#pragma unroll
            for (size_t d = 0; d < 8; d++) {
                __m512i a = _mm512_load_si512(w + d * 128), b = _mm512_load_si512(w + d * 128 + 64);
#pragma unroll
                for (size_t i = 0; i < rows; i++) {
                    int32_t four;
                    __builtin_memcpy(&four, x[i].q + s * 512 + place + d / 4 * 64 + d % 4 * 4, 4);
                    __m512i q = _mm512_set1_epi32(four);
                    dot[i][0] = _mm512_dpbusd_epi32(dot[i][0], a, q);
                    dot[i][1] = _mm512_dpbusd_epi32(dot[i][1], b, q);
                }
            }
            __m512 a = _mm512_load_ps(scale), b = _mm512_load_ps(scale + 16);
#pragma unroll
            for (size_t i = 0; i < rows; i++) {
                __m512 factor = _mm512_set1_ps(x[i].scale[s * 16 + c]);
                sum[i][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i][0]), _mm512_mul_ps(a, factor), sum[i][0]);
                sum[i][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i][1]), _mm512_mul_ps(b, factor), sum[i][1]);
            }
        }
#pragma unroll
        for (size_t i = 0; i < rows; i++) partial[c][i][0] = sum[i][0], partial[c][i][1] = sum[i][1];
    }
    for (size_t width = 8; width; width /= 2)
        for (size_t c = 0; c < width; c++)
            for (size_t i = 0; i < rows; i++)
                for (size_t v = 0; v < 2; v++) partial[c][i][v] = _mm512_add_ps(partial[c][i][v], partial[c + width][i][v]);
    for (size_t i = 0; i < rows; i++)
        for (size_t v = 0; v < 2; v++) _mm512_storeu_ps(out[i] + 16 * v, partial[0][i][v]);
}

INLINE void packed(owl2_type type, const void *x, size_t m, const char *w, size_t n, size_t k, const float *bias,
                   float *y, size_t y_stride, void *scratch) {
    size_t groups = k / OWL2_GROUP, stretches = owl2_stretches(k);
    uint8_t *panel = scratch;
    float *scales = (float *)(panel + stretches * 512 * OWL2_PANEL_OUTPUTS);
    for (size_t j0 = 0; j0 < n; j0 += OWL2_PANEL_OUTPUTS) {
        size_t columns = n - j0 < OWL2_PANEL_OUTPUTS ? n - j0 : OWL2_PANEL_OUTPUTS;
        pack(type, w + j0 * groups * block_bytes(type), columns, groups, stretches, panel, scales);
        for (size_t i0 = 0; i0 < m; i0 += TILE_ROWS) {
            size_t rows = m - i0 < TILE_ROWS ? m - i0 : TILE_ROWS;
            prepared_row row[TILE_ROWS];
            for (size_t i = 0; i < rows; i++)
                row[i] = prepared_row_at((const char *)x + (i0 + i) * owl2_prepared_bytes(k), k);
            float out[TILE_ROWS][OWL2_PANEL_OUTPUTS];
            switch (rows) {
            case 6: packed_tile(type, 6, row, panel, scales, groups, stretches, out); break;
            case 5: packed_tile(type, 5, row, panel, scales, groups, stretches, out); break;
            case 4: packed_tile(type, 4, row, panel, scales, groups, stretches, out); break;
            case 3: packed_tile(type, 3, row, panel, scales, groups, stretches, out); break;
            case 2: packed_tile(type, 2, row, panel, scales, groups, stretches, out); break;
            default: packed_tile(type, 1, row, panel, scales, groups, stretches, out); break;
            }
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < columns; j++)
                    y[(i0 + i) * y_stride + j0 + j] = out[i][j] + (bias ? bias[j0 + j] : 0);
        }
    }
}

INLINE void product_of(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias,
                       float *y, size_t y_stride, void *scratch) {
    if (m <= DIRECT_MOST) direct(type, x, m, w, n, k, bias, y, y_stride);
    else packed(type, x, m, w, n, k, bias, y, y_stride, scratch);
}

static void product(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias,
                    float *y, size_t y_stride, void *scratch) {
    if (type == OWL2_Q8_0) product_of(OWL2_Q8_0, x, m, w, n, k, bias, y, y_stride, scratch);
    else product_of(OWL2_Q4_0, x, m, w, n, k, bias, y, y_stride, scratch);
}

const owl2_block_kernels owl2_block_kernels_avx512vnni = {"AVX-512 VNNI", prepare, product};
#pragma clang attribute pop
#endif
