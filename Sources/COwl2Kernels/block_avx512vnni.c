// Kernels for blocks with AVX-512 VNNI: vpdpbusd adds four products of an unsigned and a signed byte. Weights are made
// unsigned by an offset (128 for Q8_0, 8 for Q4_0), which is taken back by the prepared row's sums.
//
// A vector has 16 lanes of 32 bits and a stretch 16 groups: lane g belongs to group g and to partial sum g throughout. Step
// d of 8 multiplies bytes 4 d ... 4 d + 3 of every group. Prepared rows hold their bytes in this order, q[stretch][d][g][4];
// blocks of weights are brought into it in registers, for one row of activations or for a tile of them.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#define INLINE static inline __attribute__((always_inline))

#define LANES 16
typedef __m512 vf;
#include "sum_each.inc"

// Rows of activations and of weights that meet in a tile, whose sums stay in the first-level cache; bytes of activations that
// stay in the second; how far ahead a single row's weights are fetched.
enum { TILE_ROWS = 32, TILE_OUTPUTS = LANES, BLOCK_BYTES = 512 << 10, PREFETCH = 1024 };

INLINE size_t block_bytes(owl2_type type) { return type == OWL2_Q8_0 ? 34 : 18; }
INLINE const int32_t *offsets(owl2_type type, const prepared_row *x) {
    return type == OWL2_Q8_0 ? x->less128 : x->less8;
}

static size_t place(size_t g, size_t i) { return i / 4 * 64 + g * 4 + i % 4; }

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
        int8_t *q = p.q + group / 16 * 512 + place(group % 16, 0);
        const __m512i step = _mm512_setr_epi32(0, 16, 32, 48, 64, 80, 96, 112, 0, 0, 0, 0, 0, 0, 0, 0);
        __m256i bytes = _mm256_set_m128i(_mm512_cvtsepi32_epi8(high), _mm512_cvtsepi32_epi8(low));
        _mm256_i32scatter_epi32(q, _mm512_castsi512_si256(step), bytes, 4);
        p.scale[group] = most / 127;
        int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
        p.less8[group] = -8 * sum;
        p.less128[group] = -128 * sum;
    }
}

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


// Number d of v has bytes 4 d ... 4 d + 3 of 16 neighbouring blocks,
// as unsigned numbers.
INLINE void transposed(owl2_type type, const char *w, __m512i v[8]) {
    const size_t stride = block_bytes(type);
#pragma unroll
    for (size_t half = 0; half < (type == OWL2_Q8_0 ? 2 : 1); half++) {
        const char *at = w + 2 + 16 * half;
        __m512i r[4];
#pragma unroll
        for (size_t e = 0; e < 4; e++) r[e] = four_places(at + e * stride, stride);
        __m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpackhi_epi32(r[0], r[1]);
        __m512i c = _mm512_unpacklo_epi32(r[2], r[3]), d = _mm512_unpackhi_epi32(r[2], r[3]);
        v[4 * half] = _mm512_unpacklo_epi64(a, c), v[4 * half + 1] = _mm512_unpackhi_epi64(a, c);
        v[4 * half + 2] = _mm512_unpacklo_epi64(b, d), v[4 * half + 3] = _mm512_unpackhi_epi64(b, d);
    }
    const __m512i low_bits = _mm512_set1_epi8(15), sign = _mm512_set1_epi8((char)0x80);
    if (type == OWL2_Q8_0) {
#pragma unroll
        for (size_t d = 0; d < 8; d++) v[d] = _mm512_xor_si512(v[d], sign);
    } else {
#pragma unroll
        for (size_t d = 0; d < 4; d++) {
            v[d + 4] = _mm512_and_si512(_mm512_srli_epi16(v[d], 4), low_bits);
            v[d] = _mm512_and_si512(v[d], low_bits);
        }
    }
}

// The partial sums' sum, in the order that owl2_block_kernels.h fixes.
INLINE float sum_partials(__m512 v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

// Adds one stretch of a weight row to the partial sums of one row of activations.
INLINE __m512 row_stretch(owl2_type type, const char *w, const prepared_row *x, size_t s, __m512 partial) {
    __m512i v[8];
    transposed(type, w, v);
    __m512i even = _mm512_load_si512(offsets(type, x) + s * 16), odd = _mm512_setzero_si512();
    const int8_t *q = x->q + s * 512;
#pragma unroll
    for (size_t d = 0; d < 8; d += 2) {
        even = _mm512_dpbusd_epi32(even, v[d], _mm512_load_si512(q + 64 * d));
        odd = _mm512_dpbusd_epi32(odd, v[d + 1], _mm512_load_si512(q + 64 * d + 64));
    }
    __m512 scale = _mm512_mul_ps(stretch_scales(type, w), _mm512_load_ps(x->scale + s * 16));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(even, odd)), scale, partial);
}

// One row of activations with n rows of weights.
INLINE void one_row(owl2_type type, const void *x, const char *w, size_t n, size_t k, const float *bias, float *y) {
    const prepared_row row = prepared_row_at(x, k);
    const size_t stretch_bytes = 16 * block_bytes(type), groups = k / OWL2_GROUP, rest = groups % 16 * block_bytes(type);
    for (size_t j = 0; j < n; j++) {
        __m512 partial = _mm512_setzero_ps();
        for (size_t s = 0; s < groups / 16; s++, w += stretch_bytes) {
#pragma unroll
            for (size_t line = 0; line < stretch_bytes; line += 64) _mm_prefetch(w + PREFETCH + line, _MM_HINT_T1);
            partial = row_stretch(type, w, &row, s, partial);
        }
        if (rest) {
            char padded[16 * 34] = {0};
            __builtin_memcpy(padded, w, rest);
            partial = row_stretch(type, padded, &row, groups / 16, partial);
            w += rest;
        }
        y[j] = sum_partials(partial) + (bias ? bias[j] : 0);
    }
}

// Adds one stretch of two weight rows to the partial sums of m rows of activations.
INLINE void pair_stretch(owl2_type type, const char *w0, const char *w1, const char *x, size_t m, size_t k, size_t s,
                         __m512 *partial0, __m512 *partial1) {
    __m512i a[8], b[8];
    transposed(type, w0, a);
    transposed(type, w1, b);
    const __m512 scale_a = stretch_scales(type, w0), scale_b = stretch_scales(type, w1);
    const size_t bytes = owl2_prepared_bytes(k);
    const prepared_row first = prepared_row_at(x, k);
    const char *q = (const char *)first.q + s * 512, *f = (const char *)(first.scale + s * 16);
    const char *o = (const char *)(offsets(type, &first) + s * 16);
    for (size_t i = 0; i < m; i++, q += bytes, f += bytes, o += bytes) {
        __m512i da = _mm512_load_si512(o), db = da;
#pragma unroll
        for (size_t d = 0; d < 8; d++) {
            __m512i four = _mm512_load_si512(q + 64 * d);
            da = _mm512_dpbusd_epi32(da, a[d], four);
            db = _mm512_dpbusd_epi32(db, b[d], four);
        }
        __m512 factor = _mm512_load_ps(f);
        partial0[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(da), _mm512_mul_ps(scale_a, factor), partial0[i]);
        partial1[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(db), _mm512_mul_ps(scale_b, factor), partial1[i]);
    }
}

// A tile of outputs: m rows of activations with n rows of weights, at most TILE_ROWS and TILE_OUTPUTS. The weights that
// stand `ahead` bytes further are fetched meanwhile.
INLINE void tile(owl2_type type, const char *x, size_t m, const char *w, size_t n, size_t k, const float *bias, float *y,
                 size_t y_stride, size_t ahead) {
    __m512 partial[TILE_OUTPUTS][TILE_ROWS + 1];  // one more keeps them out of each other's place in the cache
    for (size_t j = 0; j < TILE_OUTPUTS; j++)
        for (size_t i = 0; i < m; i++) partial[j][i] = _mm512_setzero_ps();
    const size_t stretch_bytes = 16 * block_bytes(type), row_bytes = k / OWL2_GROUP * block_bytes(type);
    const size_t stretches = row_bytes / stretch_bytes, rest = row_bytes % stretch_bytes;
    for (size_t s = 0; s < stretches + (rest > 0); s++, w += stretch_bytes)
        for (size_t j = 0; j < n; j += 2) {
            const char *w0 = w + j * row_bytes, *w1 = j + 1 < n ? w0 + row_bytes : w0;
            char padded[2][16 * 34];
            if (s == stretches) {
                __builtin_memset(padded, 0, sizeof padded);
                w0 = __builtin_memcpy(padded[0], w0, rest);
                w1 = __builtin_memcpy(padded[1], w1, rest);
            } else if (ahead) {
                for (size_t line = 0; line < stretch_bytes; line += 64) {
                    _mm_prefetch(w0 + ahead + line, _MM_HINT_T1);
                    _mm_prefetch(w1 + ahead + line, _MM_HINT_T1);
                }
            }
            pair_stretch(type, w0, w1, x, m, k, s, partial[j], partial[j + 1]);
        }
    const __mmask16 outputs = (__mmask16)((1u << n) - 1);
    const __m512 biases = bias ? _mm512_maskz_loadu_ps(outputs, bias) : _mm512_setzero_ps();
    for (size_t i = 0; i < m; i++) {
        __m512 sums[TILE_OUTPUTS];
#pragma unroll
        for (size_t j = 0; j < TILE_OUTPUTS; j++) sums[j] = partial[j][i];
        _mm512_mask_storeu_ps(y + i * y_stride, outputs, _mm512_add_ps(sum_each(sums), biases));
    }
}

INLINE void product_of(owl2_type type, const char *x, size_t m, const char *w, size_t n, size_t k, const float *bias,
                       float *y, size_t y_stride) {
    if (m == 1) return one_row(type, x, w, n, k, bias, y);
    const size_t bytes = owl2_prepared_bytes(k), row_bytes = k / OWL2_GROUP * block_bytes(type);
    size_t block = BLOCK_BYTES / bytes / TILE_ROWS * TILE_ROWS;
    if (block < TILE_ROWS) block = TILE_ROWS;
    for (size_t first = 0; first < m; first += block) {
        const size_t last = first + block < m ? first + block : m;
        for (size_t j = 0; j < n; j += TILE_OUTPUTS)
            for (size_t i = first; i < last; i += TILE_ROWS)
                tile(type, x + i * bytes, last - i < TILE_ROWS ? last - i : TILE_ROWS, w + j * row_bytes,
                     n - j < TILE_OUTPUTS ? n - j : TILE_OUTPUTS, k, bias ? bias + j : 0, y + i * y_stride + j, y_stride,
                     i == first ? TILE_OUTPUTS * row_bytes : 0);
    }
}

static void product(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias,
                    float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    if (type == OWL2_Q8_0) product_of(OWL2_Q8_0, x, m, w, n, k, bias, y, y_stride);
    else product_of(OWL2_Q4_0, x, m, w, n, k, bias, y, y_stride);
}

const owl2_block_kernels owl2_block_kernels_avx512vnni = {"AVX-512 VNNI", place, prepare, owl2_no_scratch, product};
#pragma clang attribute pop
#endif
