// The naive twin of the products by tiles of bfloat16: one loop per formula, in the order that owl2_tile_kernels.h fixes.
#include <math.h>
#include <stdlib.h>

#include "blocks.h"
#include "owl2_tile_kernels.h"

static float without_subnormals(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static size_t prepared_bytes(owl2_type type, size_t m, size_t k) {
    return (m + OWL2_BLOCK_ROWS - 1) / OWL2_BLOCK_ROWS * owl2_steps(k) * owl2_row_parts(type) * sizeof(uint16_t[16][16][2]);
}

static void prepare(owl2_type type, const float *x, size_t x_stride, size_t m, size_t k, void *block) {
    uint16_t(*tile)[16][2] = block;
    for (size_t step = 0; step < owl2_steps(k); step++)
        for (size_t part = 0; part < owl2_row_parts(type); part++, tile += 16)
            for (size_t column = 0; column < OWL2_STEP; column++)
                for (size_t i = 0; i < m; i++) {
                    const size_t at = step * OWL2_STEP + column;
                    tile[column / 2][i][column % 2] = at < k ? owl2_bfloat16_part(x[i * x_stride + at], part) : 0;
                }
}

static size_t working_bytes(owl2_type type, size_t m, size_t n, size_t k) {
    (void)type, (void)m, (void)n, (void)k;
    return 0;
}

// One output: tiles have row i, one behind the other.
static float sum_of(owl2_type type, const uint16_t (*tiles)[16][2], size_t i, const float *w, size_t k) {
    float sum = 0;
    for (size_t step = 0; step < owl2_steps(k); step++, tiles += 16 * owl2_row_parts(type))
        for (size_t a = 0; a < owl2_weight_parts(type); a++)
            for (size_t b = 0; a + b < owl2_row_parts(type); b++) {
                float odd_and_even[2] = {0, 0};
                for (size_t column = 0; column < OWL2_STEP; column++) {
                    const size_t at = step * OWL2_STEP + column;
                    const float weight = at < k ? owl2_float_from_bfloat16(owl2_bfloat16_part(w[at], a)) : 0;
                    const float value = owl2_float_from_bfloat16(tiles[16 * b + column / 2][i][column % 2]);
                    float *to = odd_and_even + column % 2;
                    *to = without_subnormals(fmaf(weight, value, *to));
                }
                sum = without_subnormals(sum + without_subnormals(odd_and_even[0] + odd_and_even[1]));
            }
    return sum;
}

static void product(owl2_type type, const void *rows, size_t m, const void *w, size_t n, size_t k, const float *bias, float *y,
                    size_t y_stride, void *working) {
    (void)working;
    float *widened = malloc(k * sizeof *widened);
    for (size_t j = 0; j < n; j++) {
        owl2_kernels_reference.widen(type, (const char *)w + j * owl2_bytes_of_elements(type, k), k, widened);
        for (size_t i = 0; i < m; i++) {
            const char *block = (const char *)rows + i / OWL2_BLOCK_ROWS * prepared_bytes(type, 1, k);
            y[i * y_stride + j] =
                sum_of(type, (const uint16_t(*)[16][2])block, i % OWL2_BLOCK_ROWS, widened, k) + (bias ? bias[j] : 0);
        }
    }
    free(widened);
}

const owl2_tile_kernels owl2_tile_kernels_reference = {"reference", prepared_bytes, prepare, working_bytes, product};
