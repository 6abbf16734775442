// Attention without a mask by tiles of bfloat16: for every query row
//
//   y = softmax(query keys^T / sqrt(columns)) values
//
// Numbers are split into parts as owl2_tile_kernels.h says. With OWL2_EXACT three parts of everything, whose products keep
// Float32's precision; with OWL2_ROUNDED two parts of queries and keys, so that scores are off by some 2^-16 of them, and one
// of powers and values, which are off by up to 2^-9 like the activations of quantised weights.
//
// A row's result does not depend on the rows beside it.
#pragma once

#include "owl2_kernels.h"

typedef enum { OWL2_ROUNDED = 0, OWL2_EXACT = 1 } owl2_precision;

// The parts of queries and keys, and of powers and values.
static inline size_t owl2_score_parts(owl2_precision precision) { return precision == OWL2_EXACT ? 3 : 2; }
static inline size_t owl2_value_parts(owl2_precision precision) { return precision == OWL2_EXACT ? 3 : 1; }

// Query rows that are computed together: rows beside each other should come in multiples of it.
enum { OWL2_QUERY_ROWS = 32 };

typedef struct {
    const char *name;

    // Bytes of n prepared keys and values of `columns` columns.
    size_t (*prepared_bytes)(owl2_precision precision, size_t n, size_t columns);

    // Prepares keys and values of a head, whose rows are `stride` elements apart.
    void (*prepare)(owl2_precision precision, const float *keys, const float *values, size_t stride, size_t n, size_t columns,
                    void *head);

    // Bytes of memory that attention works in.
    size_t (*working_bytes)(owl2_precision precision, size_t n, size_t columns);

    // Attention of m query rows to the n prepared rows of a head. `head` and `working` are aligned to 64.
    void (*attend)(owl2_precision precision, const float *queries, size_t stride, size_t m, const void *head, size_t n,
                   size_t columns, float *y, size_t y_stride, void *working);
} owl2_tile_attention;

// The table of an instruction set, or NULL if it has no tiles of bfloat16 or this machine lacks it.
const owl2_tile_attention *owl2_tile_attention_for(owl2_tier tier);

// The naive twin: the same formula in plain loops.
extern const owl2_tile_attention owl2_tile_attention_reference;
