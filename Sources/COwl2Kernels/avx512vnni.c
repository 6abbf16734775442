// Kernels for AVX-512 with VNNI, which multiplies and adds pairs of 16-bit integers in one operation.
#if defined(__x86_64__)
#include <immintrin.h>

#define TIER owl2_kernels_avx512vnni
#define TIER_NAME "AVX-512 VNNI"
#define MULTIPLY_ADD_PAIRS(a, b, c) ((vi)_mm512_dpwssd_epi32((__m512i)(c), (__m512i)(a), (__m512i)(b)))

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#include "kernels_512.inc"
#pragma clang attribute pop
#endif
