// The functions of owl2_quantize.h for each instruction set, and the choice among them.
#include "owl2_quantize.h"

#include "blocks.h"

// Clang warns of vectors wider than the baseline's registers as arguments, which these functions, all inlined, never
// pass.
#pragma clang diagnostic ignored "-Wpsabi"

#define QUANTIZE owl2_quantize_baseline
#define NAMED(name) name##_baseline
#include "quantize.inc"
#undef QUANTIZE
#undef NAMED

#if defined(__x86_64__)
#define QUANTIZE owl2_quantize_avx2
#define NAMED(name) name##_avx2
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#include "quantize.inc"
#pragma clang attribute pop
#undef QUANTIZE
#undef NAMED
#endif

owl2_quantize_function *owl2_quantize_for(owl2_tier tier) {
    switch (tier) {
    case OWL2_TIER_BASELINE: return owl2_quantize_baseline;
#if defined(__x86_64__)
    case OWL2_TIER_AVX2: return owl2_kernels_for(tier) ? owl2_quantize_avx2 : NULL;
#endif
    default: return NULL;
    }
}

owl2_quantize_function *owl2_quantize_best(void) {
    owl2_quantize_function *avx2 = owl2_quantize_for(OWL2_TIER_AVX2);
    return avx2 ? avx2 : owl2_quantize_baseline;
}
