// The naive twins of the kernels for blocks: one loop per formula, in the order that owl2_block_kernels.h fixes.
#include <math.h>

#include "blocks.h"
#include "owl2_block_kernels.h"
#include "prepared.h"

static int is_small(float x) { return fabsf(x) < 0x1p100f; }

// A group behind the last column is zeros.
static void clear_group(prepared_stretch *to, size_t g) {
    for (size_t i = 0; i < OWL2_GROUP; i++) to->q[owl2_place_by_halves(g, i)] = 0;
    to->scale[g] = 0;
    to->less8[g] = to->less_halves[g][0] = to->less_halves[g][1] = 0;
}

static void prepare(const float *x, size_t from, size_t n, size_t k, void *rows, size_t i, size_t m) {
    const prepared_row row = owl2_prepared_row(rows, i, m, k);
    const size_t end = from + n == k ? owl2_stretches(k) * 16 : (from + n) / OWL2_GROUP;
    for (size_t group = from / OWL2_GROUP; group < end; group++) {
        const float *values = x + group * OWL2_GROUP - from;
        prepared_stretch *to = row.first + group / 16 * row.step;
        const size_t g = group % 16;
        clear_group(to, g);
        if (group >= k / OWL2_GROUP) continue;
        float most = 0;
        for (size_t i = 0; i < OWL2_GROUP; i++)
            most = !is_small(values[i]) ? NAN : fabsf(values[i]) > most ? fabsf(values[i]) : most;
        to->scale[g] = owl2_group_scale(most);
        float inverse = most > OWL2_LEAST_MAGNITUDE ? 127 / most : 0;
        for (size_t i = 0; i < OWL2_GROUP; i++) {
            float scaled = is_small(values[i]) ? rintf(values[i] * inverse) : 0;
            int8_t q = scaled > 127 ? 127 : scaled < -127 ? -127 : (int8_t)scaled;
            to->q[owl2_place_by_halves(g, i)] = q;
            to->less8[g] -= 8 * q;
            to->less_halves[g][i / 16] -= q;
        }
    }
}

// A group of 32 weights: scale * half_scale[i / 16] * q[i] - minimum.
typedef struct {
    int q[32], half_scale[2];
    float scale, minimum;
} group_of_weights;

#define READ_BLOCK(kind, index) \
    owl2_block_##kind block;    \
    __builtin_memcpy(&block, (const char *)w + (index) * sizeof block, sizeof block)

static group_of_weights group_at(owl2_type type, const void *w, size_t index) {
    group_of_weights group = {.half_scale = {1, 1}, .minimum = 0};
    const size_t g = index % 8;
    if (type == OWL2_Q8_0) {
        READ_BLOCK(q8_0, index);
        group.scale = owl2_float_from_half(block.scale);
        for (size_t i = 0; i < 32; i++) group.q[i] = block.q[i];
    } else if (type == OWL2_Q4_0) {
        READ_BLOCK(q4_0, index);
        group.scale = owl2_float_from_half(block.scale);
        for (size_t i = 0; i < 32; i++) group.q[i] = (i < 16 ? block.q[i] & 15 : block.q[i - 16] >> 4) - 8;
    } else if (type == OWL2_Q4_K) {
        READ_BLOCK(q4_k, index / 8);
        uint8_t scales[8], minimums[8];
        owl2_q4_k_groups(block.groups, scales, minimums);
        group.scale = owl2_float_from_half(block.scale) * scales[g];
        group.minimum = owl2_float_from_half(block.minimum) * minimums[g];
        for (size_t i = 0; i < 32; i++) group.q[i] = block.q[g / 2 * 32 + i] >> 4 * (g % 2) & 15;
    } else {
        READ_BLOCK(q6_k, index / 8);
        group.scale = owl2_float_from_half(block.scale);
        for (size_t half = 0; half < 2; half++) group.half_scale[half] = block.groups[2 * g + half];
        for (size_t i = 0; i < 32; i++) group.q[i] = owl2_q6_k_element(&block, 32 * g + i);
    }
    return group;
}

static void product(owl2_type type, const void *x, size_t m, const void *w, size_t n, size_t k, const float *bias,
                    float *y, size_t y_stride, void *working) {
    (void)working;
    size_t groups = k / OWL2_GROUP;
    for (size_t i = 0; i < m; i++) {
        const prepared_row row = owl2_prepared_row(x, i, m, k);
        for (size_t j = 0; j < n; j++) {
            float partial[16] = {0};
            for (size_t group = 0; group < groups; group++) {
                const group_of_weights weights = group_at(type, w, j * groups + group);
                const prepared_stretch *p = row.first + group / 16 * row.step;
                const size_t g = group % 16;
                int sum = 0;
                for (size_t e = 0; e < 32; e++)
                    sum += weights.half_scale[e / 16] * weights.q[e] *
                           p->q[owl2_place_by_halves(g, e)];
                partial[g] = fmaf((float)sum * p->scale[g], weights.scale, partial[g]);
                if (type == OWL2_Q4_K)
                    partial[g] = fmaf((float)p->less8[g] * p->scale[g], weights.minimum / 8, partial[g]);
            }
            for (size_t width = 8; width; width /= 2)
                for (size_t c = 0; c < width; c++) partial[c] += partial[c + width];
            y[i * y_stride + j] = partial[0] + (bias ? bias[j] : 0);
        }
    }
}

const owl2_block_kernels owl2_block_kernels_reference = {
    "reference", owl2_place_of_halves, prepare, owl2_no_working_bytes, product};
