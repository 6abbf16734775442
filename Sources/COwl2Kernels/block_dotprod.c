// Kernels for blocks with NEON and its dot product (Armv8.2).
#if defined(__aarch64__)
#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"

#define BLOCK_TABLE owl2_block_kernels_dotprod
#define TABLE_NAME "NEON with dot product"
#define DOT(acc, w, x) vdotq_s32(acc, w, x)

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#include "block_neon.inc"
#pragma clang attribute pop
#endif
