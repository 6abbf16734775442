// The loops of owl2_limits.h for every instruction set.
#include "owl2_limits.h"
#include "processor.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "tiles.h"
#define REGISTER "v"

#define TIER baseline
#define NAME "SSE2"
#define vint __m128i
#define vfloat __m128
#define INT8_STEP(acc, a, b) _mm_add_epi32(acc, _mm_madd_epi16(a, b))
#define INT8_OPERATIONS 16
#define MULTIPLY_ADD(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#include "limits.inc"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define TIER avx2
#define NAME "AVX2"
#define vint __m256i
#define vfloat __m256
#define INT8_STEP(acc, a, b) _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), b))
#define INT8_OPERATIONS 64
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "limits.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#define TIER avxvnni
#define NAME "AVX-VNNI"
#define vint __m256i
#define vfloat __m256
#define INT8_STEP(acc, a, b) _mm256_dpbusd_avx_epi32(acc, a, b)
#define INT8_OPERATIONS 64
#define MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "limits.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#define TIER avx512
#define NAME "AVX-512"
#define vint __m512i
#define vfloat __m512
#define INT8_STEP(acc, a, b) _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), b))
#define INT8_OPERATIONS 128
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "limits.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)
#define TIER avx512vnni
#define NAME "AVX-512 VNNI"
#define vint __m512i
#define vfloat __m512
#define INT8_STEP(acc, a, b) _mm512_dpbusd_epi32(acc, a, b)
#define INT8_OPERATIONS 128
#define MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "limits.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("amx-tile,amx-int8"))), apply_to = function)
static double int8_amx(size_t rounds) {
    const owl2_tile_shapes shapes = owl2_tile_shapes_of(64, 16);
    _tile_loadconfig(&shapes);
    for (size_t round = 0; round < rounds; round++) {  // other operands each time, as one after another takes longer
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 5, 7);
        _tile_dpbssd(2, 4, 7);
        _tile_dpbssd(3, 5, 6);
    }
    _tile_release();
    return (double)rounds * 4 * 2 * 16 * 16 * 64;
}
#pragma clang attribute pop

static const owl2_limits limits_amx = {"AMX", int8_amx, float32_avx512vnni, read_avx512vnni};

#elif defined(__aarch64__)
#include <arm_neon.h>
#define REGISTER "w"

#define TIER baseline
#define NAME "NEON"
#define vint int32x4_t
#define vfloat float32x4_t
#define INT8_STEP(acc, a, b) \
    vpadalq_s16(acc, vmull_s8(vget_low_s8(vreinterpretq_s8_s32(a)), vget_low_s8(vreinterpretq_s8_s32(b))))
#define INT8_OPERATIONS 16
#define MULTIPLY_ADD(a, b, c) vfmaq_f32(c, a, b)
#include "limits.inc"

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define TIER dotprod
#define NAME "NEON with dot product"
#define vint int32x4_t
#define vfloat float32x4_t
#define INT8_STEP(acc, a, b) vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#define INT8_OPERATIONS 32
#define MULTIPLY_ADD(a, b, c) vfmaq_f32(c, a, b)
#include "limits.inc"
#pragma clang attribute pop
#endif

static const owl2_limits *const tables[OWL2_TIER_COUNT] = {
    [OWL2_TIER_BASELINE] = &limits_baseline,
#if defined(__x86_64__)
    [OWL2_TIER_AVX2] = &limits_avx2,
    [OWL2_TIER_AVXVNNI] = &limits_avxvnni,
    [OWL2_TIER_AVX512] = &limits_avx512,
    [OWL2_TIER_AVX512VNNI] = &limits_avx512vnni,
    [OWL2_TIER_AMX] = &limits_amx,
#else
    [OWL2_TIER_DOTPROD] = &limits_dotprod,
#endif
};

const owl2_limits *owl2_limits_for(owl2_tier tier) { return owl2_kernels_for(tier) ? tables[tier] : NULL; }
