// Kernels for AVX2 with FMA and F16C.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "blocks.h"
#include "key_values.h"
#include "owl2_kernels.h"

#define LANES 8
#define ROWS 3
#define COLUMNS 4
#define GEMV_ROWS 4
#define COMBINE_ROWS 6
#define COMBINE_VECTORS 2
#define TIER owl2_kernels_avx2
#define TIER_NAME "AVX2"
#define MULTIPLY_ADD(a, b, c) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define MULTIPLY_ADD_PAIRS(a, b, c) \
    ((vi)_mm256_add_epi32((__m256i)(c), _mm256_madd_epi16((__m256i)(a), (__m256i)(b))))
#define HALF_OF(f) _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT)
#define LOAD_F16(h) ((vf)_mm256_cvtph_ps((__m128i)(h)))

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop
#endif
