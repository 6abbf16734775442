// Kernels for blocks with AVX-512 VNNI: vpdpbusd adds four products of an unsigned and a signed byte. Weights are made
// unsigned by an offset (128 for Q8_0, 8 for Q4_0, 32 for Q6_K), which is taken back by the prepared row's sums.
//
// A vector has 16 lanes of 32 bits and a stretch 16 groups: lane g belongs to group g and to partial sum g throughout. Step
// d of 8 multiplies bytes 4 d ... 4 d + 3 of every group. Prepared rows hold their bytes in this order, q[stretch][d][g][4];
// blocks of weights are brought into it in registers, where they meet a few rows of activations, or in a panel for many.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"
#include "processor.h"

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#define INLINE static inline __attribute__((always_inline))

#define LANES 16
typedef __m512 vf;
#include "stretch_512.inc"
#include "sum_each.inc"

// Rows of weights whose sums are kept and folded together; how many of them meet rows of activations at once, at most; from
// how many rows of activations on a panel pays.
enum { OUTPUTS = LANES, MOST_AT_ONCE = 4, MANY_ROWS = 24 };

static owl2_place place(size_t i, size_t m, size_t k, size_t column) {
    const size_t g = column % 512 / OWL2_GROUP, e = column % OWL2_GROUP;
    return owl2_place_in_stretch(i, m, k, column, e / 4 * 64 + g * 4 + e % 4);
}

#include "prepare_512.inc"

// What the sums of a prepared stretch begin and end with: the sums of the first and of the last halves of its groups begin with
// what takes back the weights' offset, and but for Q6_K with the bits of OWL2_ABOVE, which `less_above` takes back.
typedef struct {
    __m512i begin[2];  // the second is Q6_K's alone: others begin with zeros there
    __m512 factor, less_above;
    __m512 less8;  // times the factor; Q4_K
} stretch_frame;

INLINE stretch_frame frame_of(owl2_type type, const prepared_stretch *x) {
    const __m512i above = _mm512_castps_si512(_mm512_set1_ps(OWL2_ABOVE));
    stretch_frame f;
    f.factor = _mm512_load_ps(x->scale);
    if (type == OWL2_Q6_K) {
        const __m512i pairs = _mm512_load_si512(x->less_halves);
        f.begin[0] = _mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 11);
        f.begin[1] = _mm512_and_si512(_mm512_srai_epi32(pairs, 11), _mm512_set1_epi32(-32));
        return f;
    }
    f.less_above = _mm512_mul_ps(f.factor, _mm512_set1_ps(-OWL2_ABOVE));
    const __m512i less8 = _mm512_load_si512(x->less8);
    if (type == OWL2_Q4_K) {
        f.begin[0] = above;
        f.less8 = _mm512_mul_ps(_mm512_cvtepi32_ps(less8), f.factor);
    } else {
        f.begin[0] = _mm512_add_epi32(type == OWL2_Q8_0 ? _mm512_slli_epi32(less8, 4) : less8, above);
    }
    return f;
}

// The integer sums of a stretch's groups for some rows of activations with some rows of weights, in one chain of additions or
// in two, one for each half of the groups. The more chains there are, the less each addition waits for the one before.
INLINE void stretch_sums(owl2_type type, const size_t chains, const size_t x_rows, const prepared_stretch *x,
                         const stretch_frame *frames, const size_t w_rows, const stretch *w, __m512i sum[][MOST_AT_ONCE][2]) {
#pragma unroll
    for (size_t i = 0; i < x_rows; i++)
#pragma unroll
        for (size_t j = 0; j < w_rows; j++) {
            sum[i][j][0] = frames[i].begin[0];
            sum[i][j][1] = type == OWL2_Q6_K ? frames[i].begin[1] : _mm512_setzero_si512();
        }
#pragma unroll
    for (size_t step = 0; step < 4; step++)
#pragma unroll
        for (size_t half = 0; half < 2; half++) {
            const size_t d = 4 * half + step, chain = chains == 2 ? half : 0;
#pragma unroll
            for (size_t i = 0; i < x_rows; i++) {
                const __m512i four = _mm512_load_si512(x[i].q + 64 * d);
#pragma unroll
                for (size_t j = 0; j < w_rows; j++)
                    sum[i][j][chain] = _mm512_dpbusd_epi32(sum[i][j][chain], stretch_at(type, w, j)->v[d], four);
            }
        }
}

// Adds the sums of both halves of a stretch to the partial sums.
INLINE __m512 add_stretch(owl2_type type, const stretch *w, const __m512i sum[2], const stretch_frame *f, __m512 partial) {
    __m512 total;
    if (type == OWL2_Q6_K) {  // exact: whole numbers below 2^24
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[1]), w->half_scale[1],
                                _mm512_mul_ps(_mm512_cvtepi32_ps(sum[0]), w->half_scale[0]));
        total = _mm512_mul_ps(total, f->factor);
    } else {
        total = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_add_epi32(sum[0], sum[1])), f->factor, f->less_above);
    }
    partial = _mm512_fmadd_ps(total, w->scale, partial);
    return type == OWL2_Q4_K ? _mm512_fmadd_ps(f->less8, w->minimum, partial) : partial;
}

// Adds one stretch of two weight rows to the partial sums of one or two rows of activations, or sets them if it is the first.
INLINE void square_stretch(owl2_type type, const stretch weights[2], const size_t x_rows, const prepared_stretch *x,
                           const int first, __m512 *partial0, __m512 *partial1) {
    __m512i sum[2][MOST_AT_ONCE][2];
    stretch_frame frames[2];
#pragma unroll
    for (size_t i = 0; i < x_rows; i++) frames[i] = frame_of(type, x + i);
    stretch_sums(type, 2, x_rows, x, frames, 2, weights, sum);
#pragma unroll
    for (size_t i = 0; i < x_rows; i++) {
        const __m512 before0 = first ? _mm512_setzero_ps() : partial0[i], before1 = first ? _mm512_setzero_ps() : partial1[i];
        partial0[i] = add_stretch(type, weights, sum[i][0], frames + i, before0);
        partial1[i] = add_stretch(type, stretch_at(type, weights, 1), sum[i][1], frames + i, before1);
    }
}

// The same for m rows of activations.
INLINE void pair_stretch(owl2_type type, const char *w0, const char *w1, const prepared_stretch *x, size_t m,
                         const int first, __m512 *partial0, __m512 *partial1) {
    stretch weights[2];
    load_stretch(type, w0, weights);
    load_stretch(type, w1, stretch_at(type, weights, 1));
    size_t i = 0;
    for (; i + 2 <= m; i += 2) square_stretch(type, weights, 2, x + i, first, partial0 + i, partial1 + i);
    if (i < m) square_stretch(type, weights, 1, x + i, first, partial0 + i, partial1 + i);
}

typedef __m512 row_partial;

INLINE row_partial with_stretch(owl2_type type, const char *w, const prepared_stretch *x, row_partial partial) {
    stretch weights;
    load_stretch(type, w, &weights);
    __m512i sum[1][MOST_AT_ONCE][2];
    const stretch_frame frame = frame_of(type, x);
    stretch_sums(type, 2, 1, x, &frame, 1, &weights, sum);
    return add_stretch(type, &weights, sum[0][0], &frame, partial);
}

INLINE float sum_of(row_partial partial) { return sum_lanes(partial); }

#include "one_row.inc"

// Where the partial sums of the first row and output stand, and how many vectors further the next row's and output's.
typedef struct {
    const __m512 *first;
    size_t row, output;
} partial_sums;

// The outputs of m rows and n rows of weights.
INLINE void store_outputs(const partial_sums partial, size_t m, size_t n, const float *bias, float *y, size_t y_stride) {
    const __mmask16 outputs = (__mmask16)((1u << n) - 1);
    const __m512 biases = bias ? _mm512_maskz_loadu_ps(outputs, bias) : _mm512_setzero_ps();
    for (size_t i = 0; i < m; i++) {
        __m512 sums[OUTPUTS];
#pragma unroll
        for (size_t j = 0; j < OUTPUTS; j++) sums[j] = partial.first[i * partial.row + j * partial.output];
        _mm512_mask_storeu_ps(y + i * y_stride, outputs, _mm512_add_ps(sum_each(sums), biases));
    }
}

// Fewer than MANY_ROWS rows of activations with at most OUTPUTS rows of weights. The weights that come after these are asked for
// meanwhile.
INLINE void few_rows(owl2_type type, const prepared_stretch *x, size_t m, const char *w, size_t n, size_t k, const float *bias,
                     float *y, size_t y_stride) {
    __m512 partial[OUTPUTS][MANY_ROWS + 1];  // one more keeps them out of each other's place in the cache
    for (size_t j = n; j < OUTPUTS; j++)
        for (size_t i = 0; i < m; i++) partial[j][i] = _mm512_setzero_ps();
    const size_t bytes = owl2_bytes_of_groups(type, 16), rest = owl2_bytes_of_groups(type, k % 512 / OWL2_GROUP);
    const size_t stretches = k / 512;
    const size_t row_bytes = stretches * bytes + rest;
    next_weights next = owl2_next_weights(w + OUTPUTS * row_bytes, OUTPUTS * row_bytes);
    owl2_ask_for_outputs(y, m, n, y_stride);
    for (size_t s = 0; s < stretches + (rest > 0); s++, w += bytes)
        for (size_t j = 0; j < n; j += 2) {
            const char *w0 = w + j * row_bytes, *w1 = j + 1 < n ? w0 + row_bytes : w0;
            const size_t here = s < stretches ? bytes : rest;
            owl2_ask_for_next(&next, 2 * here);
            char padded[2][16 * 34];
            if (s == stretches) {
                w0 = owl2_with_zeros_behind(w0, rest, padded[0], bytes);
                w1 = owl2_with_zeros_behind(w1, rest, padded[1], bytes);
            }
            if (s == 0) pair_stretch(type, w0, w1, x, m, 1, partial[j], partial[j + 1]);
            else pair_stretch(type, w0, w1, x + s * m, m, 0, partial[j], partial[j + 1]);
        }
    store_outputs((partial_sums){partial[0], 1, MANY_ROWS + 1}, m, n, bias, y, y_stride);
}

#include "panel_512.inc"

static size_t working_bytes(size_t m, size_t k) { return m < MANY_ROWS ? 0 : working_bytes_of_many(k); }

INLINE void product_of(owl2_type type, const prepared_stretch *x, size_t m, const char *w, size_t n, size_t k, const float *bias,
                       float *y, size_t y_stride, void *working) {
    if (m == 1) return one_row(type, x, w, n, k, bias, y);
    if (m >= MANY_ROWS) return many_rows(type, x, m, w, n, k, bias, y, y_stride, working);
    for (size_t j = 0; j < n; j += OUTPUTS)
        few_rows(type, x, m, w + j * owl2_bytes_of_groups(type, k / OWL2_GROUP), n - j < OUTPUTS ? n - j : OUTPUTS, k,
                 bias ? bias + j : NULL, y + j, y_stride);
}

#include "product_by_type.inc"

const owl2_block_kernels owl2_block_kernels_avx512vnni = {
    "AVX-512 VNNI", place, prepare, working_bytes, product};
#pragma clang attribute pop
#endif
