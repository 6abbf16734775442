// Kernels for AVX-512 with VNNI, which multiplies and adds pairs of 16-bit integers in one operation.
#if defined(__x86_64__)
#include <immintrin.h>

#define TIER owl2_kernels_avx512vnni
#define TIER_NAME "AVX-512 VNNI"
#define MULTIPLY_ADD_PAIRS(a, b, c) ((vi)dpwssd((__m512i)(a), (__m512i)(b), (__m512i)(c)))

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
// As assembly, because LLVM makes two operations of the intrinsic where it takes them for faster.
static inline __attribute__((always_inline)) __m512i dpwssd(__m512i a, __m512i b, __m512i c) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}

#include "kernels_512.inc"
#pragma clang attribute pop
#endif
