// Kernels for blocks with AVX-VNNI: vpdpbusd on 256 bits, for processors without AVX-512.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"
#include "processor.h"

#define BLOCK_TABLE owl2_block_kernels_avxvnni
#define TABLE_NAME "AVX-VNNI"
#define OFFSET(type) ((type) == OWL2_Q8_0 ? 128 : (type) == OWL2_Q4_0 ? 8 : 0)
#define FLIPS(type) 0
#define STEP(type, acc, w, d, x) _mm256_dpbusd_avx_epi32(acc, (w)->v[d], x)
#define ADDS_IN_16_BITS(type) 0

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#include "block_256.inc"
#pragma clang attribute pop
#endif
