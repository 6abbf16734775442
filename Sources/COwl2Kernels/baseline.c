// Kernels for what every processor of the architecture has: SSE2 on x86-64, NEON on arm64.
#include <math.h>

#include "blocks.h"
#include "key_values.h"
#include "owl2_kernels.h"

#define LANES 4
#define ROWS 3
#define COLUMNS 4
#define GEMV_ROWS 4
#define COMBINE_ROWS 3
#define COMBINE_VECTORS 4
#define TIER owl2_kernels_baseline
#define HALF_OF(f) owl2_half_from_float(f)
#define LOAD_F16(h) half_lanes(h)

#if defined(__aarch64__)
#include <arm_neon.h>
#define TIER_NAME "NEON"
#define MULTIPLY_ADD(a, b, c) ((vf)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define MULTIPLY_ADD_PAIRS(a, b, c) ((c) + ((a) << 16 >> 16) * ((b) << 16 >> 16) + ((a) >> 16) * ((b) >> 16))
#define half_lanes(h) ((vf)vcvt_f32_f16((float16x4_t)(h)))
#else
#include <immintrin.h>
#define TIER_NAME "SSE2"
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define MULTIPLY_ADD_PAIRS(a, b, c) ((vi)_mm_add_epi32((__m128i)(c), _mm_madd_epi16((__m128i)(a), (__m128i)(b))))
#define half_lanes(h) \
    ((vf){owl2_float_from_half(h[0]), owl2_float_from_half(h[1]), owl2_float_from_half(h[2]), owl2_float_from_half(h[3])})
#endif

#include "kernels.inc"
