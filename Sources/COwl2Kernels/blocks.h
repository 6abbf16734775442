// GGUF's blocks of quantised weights, and their elements as Float32, rounded as NumPy rounds them: no product is
// contracted with a sum.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conversions.h"
#include "owl2_kernels.h"

#define OWL2_SMALL_BLOCK 32
#define OWL2_LARGE_BLOCK 256

// x[i] = scale * q[i].
typedef struct {
    uint16_t scale;
    int8_t q[32];
} owl2_block_q8_0;

// x[i] = scale * (q[i] - 8); byte i holds elements i (low half) and i + 16.
typedef struct {
    uint16_t scale;
    uint8_t q[16];
} owl2_block_q4_0;

// Group g of 32: x = scale * s[g] * q - minimum * m[g]. `groups` packs s and m in 6 bits each; bytes 32 h ... 32 h + 31
// of q hold group 2 h (low halves) and 2 h + 1.
typedef struct {
    uint16_t scale, minimum;
    uint8_t groups[12];
    uint8_t q[128];
} owl2_block_q4_k;

// Group g of 16: x = scale * s[g] * (q - 32), q of 6 bits: 4 in `low`, 2 in `high`.
typedef struct {
    uint8_t low[128];
    uint8_t high[64];
    int8_t groups[16];
    uint16_t scale;
} owl2_block_q6_k;

_Static_assert(sizeof(owl2_block_q8_0) == 34 && sizeof(owl2_block_q4_0) == 18, "blocks of 32");
_Static_assert(sizeof(owl2_block_q4_k) == 144 && sizeof(owl2_block_q6_k) == 210, "blocks of 256");

// Bytes of neighbouring groups of 32 elements, whole blocks of them.
static inline size_t owl2_bytes_of_groups(owl2_type type, size_t groups) {
    switch (type) {
    case OWL2_Q8_0: return groups * sizeof(owl2_block_q8_0);
    case OWL2_Q4_0: return groups * sizeof(owl2_block_q4_0);
    case OWL2_Q4_K: return groups / 8 * sizeof(owl2_block_q4_k);
    default: return groups / 8 * sizeof(owl2_block_q6_k);
    }
}

// Bytes of neighbouring elements of a row, whole blocks of them.
static inline size_t owl2_bytes_of_elements(owl2_type type, size_t elements) {
    if (type >= OWL2_Q8_0) return owl2_bytes_of_groups(type, elements / OWL2_SMALL_BLOCK);
    return elements * (type == OWL2_F32 ? 4 : 2);
}

// The 6-bit scales and minimums of 8 groups: the first four have the low bits of bytes 0 ... 3 and 4 ... 7; the others
// have four bits in a half of bytes 8 ... 11 and the rest on top of the first.
static inline void owl2_q4_k_groups(const uint8_t packed[12], uint8_t scales[8], uint8_t minimums[8]) {
    uint32_t first, second, third;
    __builtin_memcpy(&first, packed, 4);
    __builtin_memcpy(&second, packed + 4, 4);
    __builtin_memcpy(&third, packed + 8, 4);
    const uint32_t s[2] = {first & 0x3f3f3f3f, (third & 0x0f0f0f0f) | (first >> 2 & 0x30303030)};
    const uint32_t m[2] = {second & 0x3f3f3f3f, (third >> 4 & 0x0f0f0f0f) | (second >> 2 & 0x30303030)};
    __builtin_memcpy(scales, s, 8);
    __builtin_memcpy(minimums, m, 8);
}

// The 6 bits of element i of a Q6_K block, less 32. A half of 128 elements has four runs of 32, whose low bits share the
// bytes of `low` in pairs and whose high bits share those of `high` in fours.
static inline int owl2_q6_k_element(const owl2_block_q6_k *block, size_t i) {
    size_t half = i / 128, run = i % 128 / 32, at = i % 32;
    int low = block->low[64 * half + 32 * (run % 2) + at] >> 4 * (run / 2) & 15;
    int high = block->high[32 * half + at] >> 2 * run & 3;
    return (low | high << 4) - 32;
}

static inline void owl2_widen_q8_0(const owl2_block_q8_0 *block, float y[32]) {
    float scale = owl2_float_from_half(block->scale);
    for (size_t i = 0; i < 32; i++) y[i] = scale * (float)block->q[i];
}

static inline void owl2_widen_q4_0(const owl2_block_q4_0 *block, float y[32]) {
    float scale = owl2_float_from_half(block->scale);
    for (size_t i = 0; i < 16; i++) {
        y[i] = scale * (float)((block->q[i] & 15) - 8);
        y[i + 16] = scale * (float)((block->q[i] >> 4) - 8);
    }
}

static inline void owl2_widen_q4_k(const owl2_block_q4_k *block, float y[256]) {
#pragma clang fp contract(off)
    float scale = owl2_float_from_half(block->scale), minimum = owl2_float_from_half(block->minimum);
    uint8_t s[8], m[8];
    owl2_q4_k_groups(block->groups, s, m);
    for (size_t g = 0; g < 8; g++) {
        float step = scale * (float)s[g], least = minimum * (float)m[g];
        for (size_t i = 0; i < 32; i++) {
            uint8_t q = block->q[32 * (g / 2) + i] >> 4 * (g % 2) & 15;
            float product = step * (float)q;
            y[32 * g + i] = product - least;
        }
    }
}

static inline void owl2_widen_q6_k(const owl2_block_q6_k *block, float y[256]) {
    float scale = owl2_float_from_half(block->scale);
    for (size_t i = 0; i < 256; i++)
        y[i] = scale * (float)block->groups[i / 16] * (float)owl2_q6_k_element(block, i);
}

// Widens whole blocks: n is a multiple of the block's elements. Blocks need no alignment.
static inline void owl2_widen_blocks(owl2_type type, const void *w, size_t n, float *y) {
#define OWL2_EACH_BLOCK(kind, elements)                                       \
    for (size_t i = 0; i < n / elements; i++) {                               \
        owl2_block_##kind block;                                              \
        __builtin_memcpy(&block, (const char *)w + i * sizeof block, sizeof block); \
        owl2_widen_##kind(&block, y + i * elements);                          \
    }
    switch (type) {
    case OWL2_Q8_0: OWL2_EACH_BLOCK(q8_0, 32) break;
    case OWL2_Q4_0: OWL2_EACH_BLOCK(q4_0, 32) break;
    case OWL2_Q4_K: OWL2_EACH_BLOCK(q4_k, 256) break;
    case OWL2_Q6_K: OWL2_EACH_BLOCK(q6_k, 256) break;
    default: break;
    }
#undef OWL2_EACH_BLOCK
}
