// The NEON kernels against their naive twins, on a processor that an emulator imitates: what the Swift tests do with
// the kernels of the machine they run on. `run` compiles this for that machine, where it only records results that must
// be the same on all processors, and for arm64, where it tests.
//
//     kernels record FILE
//     kernels test FILE with-dot-product | without-dot-product
//
// Exits with 1 if anything differs, after the first differences of each check.
#include "block_kernels.h"
#include "float_kernels.h"
#include "owl2_limits.h"
#include "same_bits.h"

// ---------------------------------------------------------------- limits.inc

static void test_limits(const owl2_limits *limits) {
    enum { WORDS = 512 * 13 / 8 };
    begin("the loops that measure limits");
    begin_case("reading");
    uint64_t *words = guarded(WORDS * 8), expected = 0;
    seed(1);
    for (size_t i = 0; i < WORDS; i++) next(), expected ^= words[i] = state;
    expect(limits->read(words, WORDS * 8) == expected, "all words are read once");
    begin_case("operations");
    expect(limits->int8(1) > 0 && limits->int8(5) == 5 * limits->int8(1), "bytes: as many in each round");
    expect(limits->float32(1) > 0 && limits->float32(5) == 5 * limits->float32(1), "floats: as many in each round");
    finish();
}

// ---------------------------------------------------------------- the choice of tables

static void test_dispatch(bool has_dot_product) {
    begin("the choice at run time");
    for (owl2_tier tier = OWL2_TIER_BASELINE; tier < OWL2_TIER_COUNT; tier++) {
        begin_case("%s", owl2_tier_name(tier));
        const bool wanted = tier == OWL2_TIER_BASELINE || (tier == OWL2_TIER_DOTPROD && has_dot_product);
        expect((owl2_kernels_for(tier) != NULL) == wanted, "kernels are there exactly if the processor has the set");
        expect((owl2_block_kernels_for(tier, OWL2_Q8_0) != NULL) == wanted, "likewise kernels for blocks");
        expect((owl2_limits_for(tier) != NULL) == wanted, "likewise loops for limits");
        expect((owl2_quantize_for(tier) != NULL) == (tier == OWL2_TIER_BASELINE), "one function quantises");
    }
    begin_case("the best");
    const owl2_tier best = has_dot_product ? OWL2_TIER_DOTPROD : OWL2_TIER_BASELINE;
    expect(owl2_kernels_best() == owl2_kernels_for(best), "kernels");
    expect(owl2_quantize_best() == owl2_quantize_for(OWL2_TIER_BASELINE), "quantisation");
    finish();
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, fault);
    signal(SIGILL, fault);
    is_recording = argc == 3 && strcmp(argv[1], "record") == 0;
    const bool has_dot_product = argc == 4 && strcmp(argv[3], "with-dot-product") == 0;
    if (!is_recording && (argc != 4 || (!has_dot_product && strcmp(argv[3], "without-dot-product") != 0))) {
        fputs("usage: kernels record FILE | kernels test FILE with-dot-product|without-dot-product\n", stderr);
        return 2;
    }
    record = fopen(argv[2], is_recording ? "wb" : "rb");
    if (!record) {
        perror(argv[2]);
        return 2;
    }
    if (!is_recording) {
        printf("all instruction sets\n");
        test_dispatch(has_dot_product);
        test_halves();
    }
    compare_quantisation();
    compare_twins();
    if (is_recording) return fclose(record) == 0 ? 0 : 2;

    const owl2_kernels *tested = NULL;
    for (owl2_tier tier = OWL2_TIER_BASELINE; tier <= OWL2_TIER_DOTPROD; tier++) {
        const owl2_kernels *kernels = owl2_kernels_for(tier);
        const owl2_block_kernels *block_kernels = owl2_block_kernels_for(tier, OWL2_Q8_0);
        const owl2_limits *limits = owl2_limits_for(tier);
        if (!kernels || !block_kernels || !limits) {
            printf("%s: not tested, this processor lacks it\n", owl2_tier_name(tier));
            continue;
        }
        printf("%s\n", owl2_tier_name(tier));
        if (kernels == tested) printf("  kernels for floats: those of %s\n", kernels->name);
        else test_kernels(kernels);
        tested = kernels;
        test_block_kernels(block_kernels);
        test_limits(limits);
    }
    if (failed_checks) printf("%zu checks FAILED\n", failed_checks);
    return failed_checks > 0;
}
