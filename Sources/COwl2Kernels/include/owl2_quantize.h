// From Float32 to the types in which weights are stored.
#pragma once

#include "owl2_kernels.h"

// Writes the n elements at x in a type, whole blocks of it, to y, which needs no alignment.
//
// F16 and BF16 round to nearest even. Q8_0 and Q4_0 are GGUF's reference quantisation bit for bit. Q4_K and Q6_K search
// scales and minimums for a small squared error.
//
// Returns n; or the index of an element that the type cannot hold, because it is not finite or because it, or the scale
// of its block, overflows. What y holds then is of no use.
typedef size_t owl2_quantize_function(owl2_type type, const float *x, size_t n, void *y);

// The function of an instruction set, or NULL if it has none of its own or this machine lacks it. All give the same
// bits.
owl2_quantize_function *owl2_quantize_for(owl2_tier tier);

// The function of the best instruction set of this machine.
owl2_quantize_function *owl2_quantize_best(void);
