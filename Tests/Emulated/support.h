// Memory whose end is guarded, numbers from a seed, and comparisons that are counted and printed.
#pragma once

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blocks.h"
#include "owl2_kernels.h"

#pragma clang fp contract(off)  // the same inputs on every processor

#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---------------------------------------------------------------- memory

static struct {
    void *start;
    size_t bytes;
} mappings[64];
static size_t mapping_count;

// Bytes of 0x55 that end where a page without access begins: reading or writing past them ends the program. A size that
// is a multiple of 64 gives that alignment. All are given back at once by `release`.
static void *guarded(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    char *start = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_count == COUNT(mappings) || start == MAP_FAILED || mprotect(start + whole, page, PROT_NONE) != 0) {
        perror("guarded memory");
        exit(2);
    }
    mappings[mapping_count].start = start;
    mappings[mapping_count++].bytes = whole + page;
    memset(start, 0x55, whole);
    return start + whole - bytes;
}

static void release(void) {
    while (mapping_count > 0) {
        mapping_count--;
        munmap(mappings[mapping_count].start, mappings[mapping_count].bytes);
    }
}

static void *guarded_copy(const void *source, size_t bytes) { return memcpy(guarded(bytes), source, bytes); }

static float *floats(size_t count) { return guarded(count * sizeof(float)); }

// ---------------------------------------------------------------- numbers

static uint64_t state;

static void seed(uint64_t number) { state = number * 2 + 1; }

// Between -1 and 1, the numbers of the Swift tests.
static float next(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int64_t)state >> 33) / (float)(1 << 30);
}

static float *numbers(size_t count, float scale) {
    float *x = floats(count);
    for (size_t i = 0; i < count; i++) x[i] = next() * scale;
    return x;
}

// The rows, outputs and columns of a product.
typedef struct {
    size_t m, n, k;
} product_size;

static const char *type_name(owl2_type type) {
    static const char *const names[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"};
    return names[type];
}

static size_t stored_bytes(owl2_type type, size_t count) {
    switch (type) {
    case OWL2_F32: return count * 4;
    case OWL2_F16:
    case OWL2_BF16: return count * 2;
    case OWL2_Q8_0: return count / 32 * sizeof(owl2_block_q8_0);
    case OWL2_Q4_0: return count / 32 * sizeof(owl2_block_q4_0);
    case OWL2_Q4_K: return count / 256 * sizeof(owl2_block_q4_k);
    default: return count / 256 * sizeof(owl2_block_q6_k);
    }
}

// From 2^-8 to 2^-7.
static void set_scale(uint16_t *half) { *half = (*half & 0x83ff) | 0x1c00; }

// Weights of a type at an odd address: floats up to 1/2, or blocks of random bytes with scales from 2^-8 to 2^-7.
static char *weights(owl2_type type, size_t count) {
    const size_t bytes = stored_bytes(type, count);
    char *w = guarded(bytes + 1);
    if (type <= OWL2_BF16) {
        for (size_t i = 0; i < count; i++) {
            float x = next() * 0.5f;
            uint16_t half = type == OWL2_F16 ? owl2_half_from_float(x) : ((uint16_t *)&x)[1];
            memcpy(w + stored_bytes(type, i), type == OWL2_F32 ? (void *)&x : (void *)&half, stored_bytes(type, 1));
        }
        return w;
    }
    for (size_t i = 0; i < bytes; i++) w[i] = (char)(int64_t)(next() * 1e9f);
#define SET_SCALES(kind, elements, ...)                                       \
    for (size_t i = 0; i < count / elements; i++) {                           \
        owl2_block_##kind block;                                              \
        memcpy(&block, w + i * sizeof block, sizeof block);                   \
        __VA_ARGS__;                                                          \
        memcpy(w + i * sizeof block, &block, sizeof block);                   \
    }
    if (type == OWL2_Q8_0) SET_SCALES(q8_0, 32, set_scale(&block.scale))
    if (type == OWL2_Q4_0) SET_SCALES(q4_0, 32, set_scale(&block.scale))
    if (type == OWL2_Q4_K) SET_SCALES(q4_k, 256, set_scale(&block.scale), set_scale(&block.minimum))
    if (type == OWL2_Q6_K) SET_SCALES(q6_k, 256, set_scale(&block.scale))
#undef SET_SCALES
    return w;
}

// ---------------------------------------------------------------- comparisons

enum { PRINTED_DIFFERENCES = 4 };

static const char *check_name;
static char case_name[128];
static size_t compared, different, failed_checks;

static void begin(const char *name) {
    check_name = name, compared = different = 0;
    case_name[0] = 0;
}

static void begin_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(case_name, sizeof case_name, format, arguments);
    va_end(arguments);
}

static void finish(void) {
    printf("  %-64s %9zu compared", check_name, compared);
    printf(different ? ", %zu DIFFER\n" : "\n", different);
    failed_checks += different > 0;
    release();
}

// What a kernel does that goes past the end of its memory, or that uses an instruction which the processor lacks.
static void fault(int signal) {
    printf("  %s: %s: %s\n", check_name, case_name, strsignal(signal));
    _exit(1);
}

// Whether a difference is among the first of its check, which are printed.
static bool counts(bool differs) { return differs && different++ < PRINTED_DIFFERENCES; }

static void expect(bool condition, const char *what) {
    compared++;
    if (counts(!condition)) printf("  %s: %s: not so: %s\n", check_name, case_name, what);
}

// |found - expected| <= absolute + relative * |expected|; NaN differs.
static void expect_close(const float *found, const float *expected, size_t count, float absolute, float relative) {
    compared += count;
    for (size_t i = 0; i < count; i++)
        if (counts(!(fabsf(found[i] - expected[i]) <= absolute + relative * fabsf(expected[i]))))
            printf("  %s: %s: element %zu is %.9g, not %.9g\n", check_name, case_name, i, found[i], expected[i]);
}

// The same bits; if `any_nan`, all NaNs are alike.
static void expect_floats(const float *found, const float *expected, size_t count, bool any_nan) {
    compared += count;
    for (size_t i = 0; i < count; i++) {
        bool same = memcmp(found + i, expected + i, 4) == 0 || (any_nan && isnan(found[i]) && isnan(expected[i]));
        if (counts(!same))
            printf("  %s: %s: element %zu is %a, not %a\n", check_name, case_name, i, found[i], expected[i]);
    }
}

static void expect_bytes(const void *found, const void *expected, size_t count) {
    const uint8_t *a = found, *b = expected;
    compared += count;
    for (size_t i = 0; i < count; i++)
        if (counts(a[i] != b[i]))
            printf("  %s: %s: byte %zu is %02x, not %02x\n", check_name, case_name, i, a[i], b[i]);
}

// ---------------------------------------------------------------- results of the machine that compiles

static FILE *record;
static bool is_recording;

// Where all processors must give the same bits: writes results, or compares them with those that another wrote.
static void expect_as_recorded(const void *found, size_t bytes) {
    if (is_recording) {
        if (fwrite(found, 1, bytes, record) != bytes) perror("record"), exit(2);
        return;
    }
    void *expected = malloc(bytes ? bytes : 1);
    if (fread(expected, 1, bytes, record) != bytes) {
        fputs("the record is too short\n", stderr);
        exit(2);
    }
    expect_bytes(found, expected, bytes);
    free(expected);
}
