// Kernels for blocks with what every processor of the architecture has: SSE2 on x86-64, NEON on arm64.
#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"

#define BLOCK_TABLE owl2_block_kernels_baseline

#if defined(__aarch64__)
#define TABLE_NAME "NEON"
#define DOT(acc, w, x) \
    vpadalq_s16(vpadalq_s16(acc, vmull_s8(vget_low_s8(w), vget_low_s8(x))), vmull_high_s8(w, x))
#include "block_neon.inc"
#elif defined(__x86_64__)
#include <emmintrin.h>
#define TABLE_NAME "SSE2"

typedef __m128i vbytes, vints;
typedef __m128 vfloats;

#define LOAD_BYTES(p) _mm_loadu_si128((const __m128i *)(p))
#define LOAD_INTS(p) _mm_loadu_si128((const __m128i *)(p))
#define LOAD_FLOATS(p) _mm_loadu_ps(p)
#define DOT(acc, w, x) dot(acc, w, x)
#define SUM_EACH(a, b, c, d) sum_each(a, b, c, d)
#define TO_FLOAT(v) _mm_cvtepi32_ps(v)
#define MULTIPLY_ADD(a, b, c) multiply_add(a, b, c)

// Signed bytes widen by standing in the upper half of 16 bits, and an arithmetic shift.
static inline __m128i dot(__m128i acc, __m128i w, __m128i x) {
    __m128i low = _mm_madd_epi16(_mm_srai_epi16(_mm_unpacklo_epi8(w, w), 8), _mm_srai_epi16(_mm_unpacklo_epi8(x, x), 8));
    __m128i high = _mm_madd_epi16(_mm_srai_epi16(_mm_unpackhi_epi8(w, w), 8), _mm_srai_epi16(_mm_unpackhi_epi8(x, x), 8));
    return _mm_add_epi32(acc, _mm_add_epi32(low, high));
}

// In double precision, where products of Float32 are exact: all but as if fused.
static inline __m128 multiply_add(__m128 a, __m128 b, __m128 c) {
    const __m128 a2 = _mm_movehl_ps(a, a), b2 = _mm_movehl_ps(b, b), c2 = _mm_movehl_ps(c, c);
    __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
    __m128d high = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a2), _mm_cvtps_pd(b2)), _mm_cvtps_pd(c2));
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

static inline __m128i sum_each(__m128i a, __m128i b, __m128i c, __m128i d) {
    __m128i ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    __m128i cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    return _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
}
#include "block_128.inc"
#else
#error "only x86-64 and arm64 are supported"
#endif
