// What a processor can do at most: loops of one operation, whose speed on all threads is the limit of any kernel.
#pragma once

#include "owl2_kernels.h"

typedef struct {
    const char *name;

    // Multiplies and adds bytes as integers without loss, in registers alone. Returns the operations done: two for each
    // product that is added.
    double (*int8)(size_t rounds);

    // The same with Float32, fused where the processor has that.
    double (*float32)(size_t rounds);

    // Reads n bytes, a multiple of 512, in the way that is fastest on the processor, and returns a number that depends on all.
    uint64_t (*read)(const void *bytes, size_t n);
} owl2_limits;

// The loops of an instruction set, or NULL if they were not built or this machine lacks it.
const owl2_limits *owl2_limits_for(owl2_tier tier);
