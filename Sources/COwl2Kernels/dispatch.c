// The choice of kernels at run time.
#include "owl2_block_kernels.h"
#include "owl2_kernels.h"
#include "owl2_tile_attention.h"
#include "owl2_tile_kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

extern const owl2_kernels owl2_kernels_baseline;
extern const owl2_block_kernels owl2_block_kernels_baseline;
#if defined(__x86_64__)
extern const owl2_kernels owl2_kernels_avx2, owl2_kernels_avx512, owl2_kernels_avx512vnni;
extern const owl2_block_kernels owl2_block_kernels_avx2, owl2_block_kernels_avxvnni, owl2_block_kernels_avx512vnni;
extern const owl2_block_kernels owl2_block_kernels_amx;
extern const owl2_tile_kernels owl2_tile_kernels_amx;
extern const owl2_tile_attention owl2_tile_attention_amx;
#elif defined(__aarch64__)
extern const owl2_block_kernels owl2_block_kernels_dotprod;
#endif

typedef struct {
    const char *name;
    bool (*is_supported)(void);
    const owl2_kernels *kernels;
    const owl2_block_kernels *block_kernels;
} tier;

static bool always(void) { return true; }

#if defined(__x86_64__)
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static bool has_avxvnni(void) { return has_avx2() && __builtin_cpu_supports("avxvnni"); }

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_avx512vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

// Linux lets a process use tiles only after it asked; asking again does no harm. Alternate stacks for signals must have room
// for tiles from then on: with a smaller one there already, the answer is no.
static bool has_amx(void) {
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return has_avx512vnni() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}
#elif defined(__aarch64__)
static bool has_dotprod(void) {
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) == 0 && has;
#else
    return false;
#endif
}
#endif

// By owl2_tier. What was not built for this architecture has no kernels.
static const tier tiers[OWL2_TIER_COUNT] = {
#if defined(__x86_64__)
    [OWL2_TIER_BASELINE] = {"SSE2", always, &owl2_kernels_baseline, &owl2_block_kernels_baseline},
    [OWL2_TIER_DOTPROD] = {"NEON with dot product", NULL, NULL, NULL},
    [OWL2_TIER_AVX2] = {"AVX2", has_avx2, &owl2_kernels_avx2, &owl2_block_kernels_avx2},
    [OWL2_TIER_AVXVNNI] = {"AVX-VNNI", has_avxvnni, &owl2_kernels_avx2, &owl2_block_kernels_avxvnni},
    [OWL2_TIER_AVX512] = {"AVX-512", has_avx512, &owl2_kernels_avx512, &owl2_block_kernels_avx2},
    [OWL2_TIER_AVX512VNNI] = {"AVX-512 VNNI", has_avx512vnni, &owl2_kernels_avx512vnni, &owl2_block_kernels_avx512vnni},
    [OWL2_TIER_AMX] = {"AMX", has_amx, &owl2_kernels_avx512vnni, &owl2_block_kernels_amx},
#else
    [OWL2_TIER_BASELINE] = {"NEON", always, &owl2_kernels_baseline, &owl2_block_kernels_baseline},
    [OWL2_TIER_DOTPROD] = {"NEON with dot product", has_dotprod, &owl2_kernels_baseline, &owl2_block_kernels_dotprod},
    [OWL2_TIER_AVX2] = {"AVX2", NULL, NULL, NULL},
    [OWL2_TIER_AVXVNNI] = {"AVX-VNNI", NULL, NULL, NULL},
    [OWL2_TIER_AVX512] = {"AVX-512", NULL, NULL, NULL},
    [OWL2_TIER_AVX512VNNI] = {"AVX-512 VNNI", NULL, NULL, NULL},
    [OWL2_TIER_AMX] = {"AMX", NULL, NULL, NULL},
#endif
};

static bool is_available(owl2_tier index) {
    return (size_t)index < OWL2_TIER_COUNT && tiers[index].kernels && tiers[index].is_supported();
}

const owl2_kernels *owl2_kernels_for(owl2_tier index) { return is_available(index) ? tiers[index].kernels : NULL; }

const owl2_block_kernels *owl2_block_kernels_for(owl2_tier index, owl2_type type) {
    // tiles gain nothing for Q6_K: block_amx.c
    if (index == OWL2_TIER_AMX && type == OWL2_Q6_K) index = OWL2_TIER_AVX512VNNI;
    return is_available(index) ? tiers[index].block_kernels : NULL;
}

#if defined(__x86_64__)
static bool has_bfloat16_tiles(owl2_tier index) {
    return index == OWL2_TIER_AMX && is_available(index) && __builtin_cpu_supports("amx-bf16") &&
           __builtin_cpu_supports("avx512bf16");
}

const owl2_tile_kernels *owl2_tile_kernels_for(owl2_tier index) {
    return has_bfloat16_tiles(index) ? &owl2_tile_kernels_amx : NULL;
}

const owl2_tile_attention *owl2_tile_attention_for(owl2_tier index) {
    return has_bfloat16_tiles(index) ? &owl2_tile_attention_amx : NULL;
}
#else
const owl2_tile_kernels *owl2_tile_kernels_for(owl2_tier index) { return (void)index, NULL; }
const owl2_tile_attention *owl2_tile_attention_for(owl2_tier index) { return (void)index, NULL; }
#endif

const owl2_kernels *owl2_kernels_best(void) {
    for (int index = OWL2_TIER_COUNT - 1; index > OWL2_TIER_BASELINE; index--)
        if (is_available((owl2_tier)index)) return tiers[index].kernels;
    return &owl2_kernels_baseline;
}

const char *owl2_tier_name(owl2_tier index) {
    return (size_t)index < OWL2_TIER_COUNT ? tiers[index].name : "unknown";
}
