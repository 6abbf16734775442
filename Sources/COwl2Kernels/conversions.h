// Scalar conversions of stored elements, by bits.
#pragma once

#include <stdint.h>

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
