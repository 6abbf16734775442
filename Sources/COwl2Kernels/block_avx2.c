// Kernels for blocks with AVX2. vpmaddubsw multiplies an unsigned by a signed byte and adds two products in 16 bits,
// which saturate: weights of four bits (at most 15 * 127 a product) may add a whole group's eight steps there. Q8_0 multiplies
// |w| by x, or by the complement of x, which is -x - 1, where w is negative, and widens each step; for one row, where unpacking
// costs more than it saves, by -x.
#if defined(__x86_64__)
#include <immintrin.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"
#include "processor.h"

#define BLOCK_TABLE owl2_block_kernels_avx2
#define TABLE_NAME "AVX2"
#define OFFSET(type) ((type) == OWL2_Q4_0 ? 8 : 0)
#define STEP(type, acc, w, d, x) \
    ((type) == OWL2_Q8_0 ? flipped_step(acc, (w)->v[d], _mm256_xor_si256(x, (w)->flip[d])) \
                         : _mm256_add_epi16(acc, _mm256_maddubs_epi16((w)->v[d], x)))
#define FLIPS(type) ((type) == OWL2_Q8_0)
#define ADDS_IN_16_BITS(type) ((type) != OWL2_Q8_0)

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
static inline __attribute__((always_inline)) __m256i flipped_step(__m256i acc, __m256i w, __m256i x) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
    __asm__("" : "+x"(acc));  // one sum after another: a tree of sums needs registers that the weights are in
    return acc;
}
#include "block_256.inc"
#pragma clang attribute pop
#endif
