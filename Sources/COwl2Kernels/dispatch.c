// The choice of kernels at run time.
#include "owl2_kernels.h"

extern const owl2_kernels owl2_kernels_baseline;
#if defined(__x86_64__)
extern const owl2_kernels owl2_kernels_avx2, owl2_kernels_avx512;
#endif

const owl2_kernels *owl2_kernels_for(owl2_tier tier) {
    switch (tier) {
    case OWL2_TIER_BASELINE: return &owl2_kernels_baseline;
#if defined(__x86_64__)
    case OWL2_TIER_AVX2:
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
                   ? &owl2_kernels_avx2 : NULL;
    case OWL2_TIER_AVX512:
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                   ? &owl2_kernels_avx512 : NULL;
#endif
    default: return NULL;
    }
}

const owl2_kernels *owl2_kernels_best(void) {
    for (int tier = OWL2_TIER_COUNT - 1; tier > OWL2_TIER_BASELINE; tier--) {
        const owl2_kernels *kernels = owl2_kernels_for((owl2_tier)tier);
        if (kernels) return kernels;
    }
    return &owl2_kernels_baseline;
}

const char *owl2_tier_name(owl2_tier tier) {
    switch (tier) {
    case OWL2_TIER_BASELINE: return owl2_kernels_baseline.name;
    case OWL2_TIER_AVX2: return "AVX2";
    case OWL2_TIER_AVX512: return "AVX-512";
    default: return "unknown";
    }
}
