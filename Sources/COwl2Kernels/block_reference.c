// The naive twins of the kernels for blocks: one loop per formula, in the order that owl2_block_kernels.h fixes.
#include <math.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"

static void prepare(const float *x, size_t k, void *row) {
    prepared_row p = prepared_row_at(row, k);
    __builtin_memset(row, 0, owl2_prepared_bytes(k));
    for (size_t group = 0; group < k / OWL2_GROUP; group++) {
        const float *values = x + group * OWL2_GROUP;
        float most = 0;
        for (size_t i = 0; i < OWL2_GROUP; i++)
            most = !isfinite(values[i]) ? NAN : fabsf(values[i]) > most ? fabsf(values[i]) : most;
        p.scale[group] = most / 127;
        float inverse = most > OWL2_LEAST_MAGNITUDE ? 127 / most : 0;
        for (size_t i = 0; i < OWL2_GROUP; i++) {
            float scaled = isfinite(values[i]) ? rintf(values[i] * inverse) : 0;
            int8_t q = scaled > 127 ? 127 : scaled < -127 ? -127 : (int8_t)scaled;
            p.q[group / 16 * 512 + owl2_place_by_halves(group % 16, i)] = q;
            p.less8[group] -= 8 * q;
            p.less128[group] -= 128 * q;
        }
    }
}

// The scale of a block of weights and its elements as whole numbers.
static float block_of(owl2_type type, const void *w, size_t index, int q[32]) {
    if (type == OWL2_Q8_0) {
        owl2_block_q8_0 block;
        __builtin_memcpy(&block, (const char *)w + index * sizeof block, sizeof block);
        for (size_t i = 0; i < 32; i++) q[i] = block.q[i];
        return owl2_float_from_half(block.scale);
    }
    owl2_block_q4_0 block;
    __builtin_memcpy(&block, (const char *)w + index * sizeof block, sizeof block);
    for (size_t i = 0; i < 32; i++) q[i] = (i < 16 ? block.q[i] & 15 : block.q[i - 16] >> 4) - 8;
    return owl2_float_from_half(block.scale);
}

static void product(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias,
                    float *y, size_t y_stride, void *scratch) {
    (void)scratch;
    size_t groups = k / OWL2_GROUP;
    for (size_t i = 0; i < m; i++) {
        prepared_row p = prepared_row_at((char *)x + i * owl2_prepared_bytes(k), k);
        for (size_t j = 0; j < n; j++) {
            float partial[16] = {0};
            for (size_t group = 0; group < groups; group++) {
                int q[32], sum = 0;
                float scale = block_of(type, w, j * groups + group, q) * p.scale[group];
                for (size_t e = 0; e < 32; e++)
                    sum += q[e] * p.q[group / 16 * 512 + owl2_place_by_halves(group % 16, e)];
                partial[group % 16] = fmaf((float)sum, scale, partial[group % 16]);
            }
            for (size_t width = 8; width; width /= 2)
                for (size_t c = 0; c < width; c++) partial[c] += partial[c + width];
            y[i * y_stride + j] = partial[0] + (bias ? bias[j] : 0);
        }
    }
}

const owl2_block_kernels owl2_block_kernels_reference = {"reference", owl2_place_by_halves, prepare, owl2_no_scratch, product};
