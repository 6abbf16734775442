// Float32 kernels over rows of activations and stored weights, in one table per instruction set.
//
// All matrices are row-major. Strides count elements. Pointers need no alignment. Nothing here allocates, locks or keeps
// state: callers check shapes and split the work among threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How a weight is stored: element by element, or in GGUF's blocks of 32 (Q8_0, Q4_0) or 256 (Q4_K, Q6_K) elements.
typedef enum {
    OWL2_F32 = 0,
    OWL2_F16 = 1,
    OWL2_BF16 = 2,
    OWL2_Q8_0 = 3,
    OWL2_Q4_0 = 4,
    OWL2_Q4_K = 5,
    OWL2_Q6_K = 6,
} owl2_type;

// The instruction sets that kernels are built for, slowest first.
typedef enum {
    OWL2_TIER_BASELINE = 0,
    OWL2_TIER_DOTPROD = 1,
    OWL2_TIER_AVX2 = 2,
    OWL2_TIER_AVXVNNI = 3,
    OWL2_TIER_AVX512 = 4,
    OWL2_TIER_AVX512VNNI = 5,
    OWL2_TIER_AMX = 6,
    OWL2_TIER_COUNT = 7,
} owl2_tier;

// Columns of a head at most for attention in integers.
enum { OWL2_INT16_MOST_COLUMNS = 128 };

// Stores a head's keys, or values, of m rows of n columns, `stride` elements apart, as rows `slot` ... of a page of 64 rows.
// Other rows of the page may be stored by other threads at the same time.
typedef void owl2_store(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page);

typedef struct {
    const char *name;

    // y[i][j] = x[i] . w[j] + bias[j] for i < m, j < n, where w is [n, k] of F32, F16 or BF16 and bias may be NULL.
    // Every element is summed in the same order whatever m and n are.
    void (*product)(owl2_type type, const float *x, size_t x_stride, size_t m, const void *w, size_t n, size_t k,
                    const float *bias, float *y, size_t y_stride);

    // c[i][j] = sum over l of a[i][l] * b[l][j], added to c if `accumulate`; i < m, j < n, l < k in ascending order; b is
    // F32 or F16. `next` may be the b that is wanted afterwards, or NULL: a single row has it fetched meanwhile.
    void (*combine)(const float *a, size_t a_stride, size_t m, owl2_type b_type, const void *b, size_t b_stride, size_t n,
                    size_t k, float *c, size_t c_stride, bool accumulate, const void *next);

    // y = float of the n stored elements at w, whole blocks of them.
    void (*widen)(owl2_type type, const void *w, size_t n, float *y);

    // Keys are [n][64], values [64][n].
    owl2_store *store_f32_keys, *store_f32_values;
    owl2_store *store_f16_keys, *store_f16_values;

    // The same as bytes, rounded, with Float32 scales for every 32 columns behind them: [groups][64] for keys, [64][groups]
    // for values. A group with an element that is not finite gets the scale NaN.
    owl2_store *store_q8_keys, *store_q8_values;

    // A page of such keys as [n][64] floats, and of such values as [64][n].
    void (*widen_q8_keys)(const void *keys, size_t n, float *y);
    void (*widen_q8_values)(const void *values, size_t n, float *y);

    // The greatest of n elements.
    float (*maximum)(const float *x, size_t n);

    // x = softmax(x * scale) over n elements.
    void (*softmax)(float *x, size_t n, float scale);

    // y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias.
    void (*layer_norm)(const float *x, const float *weight, const float *bias, size_t n, float eps, float *y);

    // y = x / sqrt(mean(x^2) + eps) * weight.
    void (*rms_norm)(const float *x, const float *weight, size_t n, float eps, float *y);

    // y += x.
    void (*add)(const float *x, size_t n, float *y);

    // gate = silu(gate) * up, where silu(x) = x * sigmoid(x).
    void (*silu_multiply)(float *gate, const float *up, size_t n);

    // x = x * sigmoid(1.702 x).
    void (*quick_gelu)(float *x, size_t n);

    // x = x/2 * (1 + erf(x / sqrt(2))).
    void (*gelu)(float *x, size_t n);

    // Rotates the pairs (x[i], x[i + half]) by the angles whose cosines and sines are given: i < half.
    void (*rotate_halves)(float *x, const float *cosine, const float *sine, size_t half);

    // Attention in integers: products of 16 bits, exact sums of 32, over an even number of columns of at most
    // OWL2_INT16_MOST_COLUMNS. What is not finite gets the scale NaN.

    // Keys are [n / 2][64][2], values [32][n][2], each with 64 Float32 scales behind.
    owl2_store *store_int16_keys, *store_int16_values;

    // y = x / scale, rounded, for one query of n columns; gives the scale.
    float (*quantize_int16)(const float *x, size_t n, int16_t *y);

    // scores[i][j] = queries[i] . keys[j], the keys with their scales, for i < m, j < n <= 64.
    void (*scores_int16)(const int16_t *queries, size_t m, const void *keys, size_t n, size_t columns, float *scores,
                         size_t stride);

    // y[j] = e^(scale (x[j] - most)) factors[j] / y_scale, rounded, for j < n, and 0 for n <= j < 64, where x[j] <= most;
    // gives the sum of e^(scale (x[j] - most)). The factors are not negative.
    float (*exponentials_int16)(const float *x, size_t n, float scale, float most, const float *factors, int16_t *y,
                                float *y_scale);

    // y[i] += power_scales[i] * sum over j < n of powers[i][j] values[j], without the values' scales, for i < m: powers
    // are [m][64], y is [m][columns].
    void (*add_values_int16)(const int16_t *powers, const float *power_scales, size_t m, const void *values, size_t n,
                             size_t columns, float *y);
} owl2_kernels;

// The table of an instruction set, or NULL if the kernels of it were not built or this machine lacks it.
const owl2_kernels *owl2_kernels_for(owl2_tier tier);

// The table of the best instruction set of this machine.
const owl2_kernels *owl2_kernels_best(void);

// The name of an instruction set, whether this machine has it or not.
const char *owl2_tier_name(owl2_tier tier);

// The naive twins, in plain loops and double-precision sums: what the tables are tested against.
extern const owl2_kernels owl2_kernels_reference;

// Asks for the lines of memory that is to be written.
static inline void owl2_ask_to_write(const void *memory, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch((const char *)memory + line, 1, 3);
}

// Tells the processor that a loop waits for another thread.
static inline void owl2_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __builtin_arm_yield();
#endif
}
