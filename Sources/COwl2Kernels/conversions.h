// Scalar conversions of stored elements, by bits.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Groups whose largest magnitude is not above become zeros: what it is scaled to, over it, might be too large for a Float32.
#define OWL2_LEAST_MAGNITUDE 1e-30f

static inline float owl2_float_from_bits(uint32_t bits) {
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float owl2_float_from_bfloat16(uint16_t h) { return owl2_float_from_bits((uint32_t)h << 16); }

// The exponent is moved by a product with 2^112, which also makes subnormal halves normal; infinities and NaNs get
// Float32's highest exponent.
static inline float owl2_float_from_half(uint16_t h) {
    float magnitude = owl2_float_from_bits((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
    uint32_t bits;
    __builtin_memcpy(&bits, &magnitude, sizeof bits);
    if ((h & 0x7c00) == 0x7c00) bits = 0x7f800000 | (uint32_t)(h & 0x3ff) << 13;
    return owl2_float_from_bits(bits | (uint32_t)(h & 0x8000) << 16);
}

// Rounded to the nearest, of two equally near the even one; too large numbers become infinite, a NaN stays one.
static inline uint16_t owl2_half_from_float(float f) {
    uint32_t bits;
    __builtin_memcpy(&bits, &f, sizeof bits);
    uint16_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00;
    if (magnitude >= 0x477ff000) return sign | 0x7c00;
    if (magnitude < 0x38800000) {  // a subnormal half: adding 0.5 leaves its bits, rounded, at the end of the sum's
        float sum = owl2_float_from_bits(magnitude) + 0.5f;
        __builtin_memcpy(&bits, &sum, sizeof bits);
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    return sign | (uint16_t)((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

// Rounded likewise, numbers below 2^-126 to zero.
static inline uint16_t owl2_bfloat16_from_float(float f) {
    uint32_t bits;
    __builtin_memcpy(&bits, &f, sizeof bits);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    if (magnitude < 0x00800000) return bits >> 16 & 0x8000;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Part `number` of a float in parts of bfloat16 (owl2_tile_kernels.h).
static inline uint16_t owl2_bfloat16_part(float f, size_t number) {
    for (; number > 0; number--) f -= owl2_float_from_bfloat16(owl2_bfloat16_from_float(f));
    return owl2_bfloat16_from_float(f);
}
