// Kernels for AVX-512 (F, BW, VL, DQ).
#if defined(__x86_64__)
#include <immintrin.h>

#define TIER owl2_kernels_avx512
#define TIER_NAME "AVX-512"
#define MULTIPLY_ADD_PAIRS(a, b, c) \
    ((vi)_mm512_add_epi32((__m512i)(c), _mm512_madd_epi16((__m512i)(a), (__m512i)(b))))

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), apply_to = function)
#include "kernels_512.inc"
#pragma clang attribute pop
#endif
