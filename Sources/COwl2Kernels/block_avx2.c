// Kernels for blocks with AVX2. vpmaddubsw multiplies an unsigned by a signed byte and adds two products in 16 bits,
// which saturate: Q4_0 (at most 15 * 127 a product) may add a whole group's eight steps there; Q8_0 takes |w| and gives
// w's sign to x, and widens each step.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"

#define BLOCK_TABLE owl2_block_kernels_avx2
#define TABLE_NAME "AVX2"
#define OFFSET(type) ((type) == OWL2_Q4_0 ? 8 : 0)
#define STEP(type, acc, w, x) step(type, acc, w, x)
#define FINISH(type, acc) ((type) != OWL2_Q8_0 ? _mm256_madd_epi16(acc, _mm256_set1_epi16(1)) : (acc))

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
static inline __attribute__((always_inline)) __m256i step(owl2_type type, __m256i acc, __m256i w, __m256i x) {
    if (type != OWL2_Q8_0) return _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#include "block_256.inc"
#pragma clang attribute pop
#endif
