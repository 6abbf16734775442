// Kernels for AVX-512 (F, BW, VL, DQ).
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "blocks.h"
#include "key_values.h"
#include "owl2_kernels.h"

#define LANES 16
#define ROWS 4
#define COLUMNS 6
#define COMBINE_ROWS 6
#define COMBINE_VECTORS 4
#define TIER owl2_kernels_avx512
#define TIER_NAME "AVX-512"
#define MULTIPLY_ADD(a, b, c) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define MULTIPLY_ADD_PAIRS(a, b, c) \
    ((vi)_mm512_add_epi32((__m512i)(c), _mm512_madd_epi16((__m512i)(a), (__m512i)(b))))
#define HALF_OF(f) _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT)
#define LOAD_F16(h) ((vf)_mm512_cvtph_ps((__m256i)(h)))

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop
#endif
