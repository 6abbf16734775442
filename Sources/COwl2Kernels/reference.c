// The naive twins of all kernels: one loop per formula, sums in double precision.
#include <math.h>

#include "blocks.h"
#include "key_values.h"
#include "owl2_kernels.h"

static float element(owl2_type type, const void *w, size_t i) {
    uint16_t half;
    float single;
    if (type == OWL2_F32) {
        __builtin_memcpy(&single, (const float *)w + i, sizeof single);
        return single;
    }
    __builtin_memcpy(&half, (const uint16_t *)w + i, sizeof half);
    return type == OWL2_F16 ? owl2_float_from_half(half) : owl2_float_from_bfloat16(half);
}

static void product(owl2_type type, const float *x, size_t x_stride, size_t m, const void *w, size_t n, size_t k,
                    const float *bias, float *y, size_t y_stride) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = bias ? bias[j] : 0;
            for (size_t l = 0; l < k; l++) sum += (double)x[i * x_stride + l] * element(type, w, j * k + l);
            y[i * y_stride + j] = (float)sum;
        }
}

static void combine(const float *a, size_t a_stride, size_t m, owl2_type b_type, const void *b, size_t b_stride, size_t n,
                    size_t k, float *c, size_t c_stride, bool accumulate, const void *next) {
    (void)next;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = accumulate ? c[i * c_stride + j] : 0;
            for (size_t l = 0; l < k; l++) sum += (double)a[i * a_stride + l] * element(b_type, b, l * b_stride + j);
            c[i * c_stride + j] = (float)sum;
        }
}

static void widen(owl2_type type, const void *w, size_t n, float *y) {
    if (type >= OWL2_Q8_0) return owl2_widen_blocks(type, w, n, y);
    for (size_t i = 0; i < n; i++) y[i] = element(type, w, i);
}

static void store_f32_keys(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    for (size_t i = 0; i < m * n; i++) ((float *)page)[i % n * 64 + slot + i / n] = x[i / n * stride + i % n];
}

static void store_f32_values(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    for (size_t i = 0; i < m * n; i++) ((float *)page)[slot * n + i] = x[i / n * stride + i % n];
}

static void store_f16_keys(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    for (size_t i = 0; i < m * n; i++)
        ((uint16_t *)page)[i % n * 64 + slot + i / n] = owl2_half_from_float(x[i / n * stride + i % n]);
}

static void store_f16_values(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    for (size_t i = 0; i < m * n; i++)
        ((uint16_t *)page)[slot * n + i] = owl2_half_from_float(x[i / n * stride + i % n]);
}

static float quantize_to(const float *x, size_t n, int16_t most, int16_t *y) {
    float top = 0;
    bool is_finite = true;
    for (size_t i = 0; i < n; i++) {
        is_finite &= isfinite(x[i]) != 0;
        top = fmaxf(top, fabsf(x[i]));
    }
    float inverse = is_finite && top > OWL2_LEAST_MAGNITUDE ? (float)most / top : 0;
    for (size_t i = 0; i < n; i++) y[i] = is_finite ? (int16_t)rintf(x[i] * inverse) : 0;
    return is_finite ? top / (float)most : NAN;
}

// Quantises n columns by groups of 32 to q[i * q_stride], with a scale for each group at scales[group * scale_stride].
static void store_q8_row(const float *x, size_t n, int8_t *q, size_t q_stride, float *scales, size_t scale_stride) {
    for (size_t first = 0; first < n; first += 32) {
        const size_t count = n - first < 32 ? n - first : 32;
        int16_t group[32];
        scales[first / 32 * scale_stride] = quantize_to(x + first, count, 127, group);
        for (size_t i = 0; i < count; i++) q[(first + i) * q_stride] = (int8_t)group[i];
    }
}

static void store_q8_keys(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    float *const scales = (float *)((int8_t *)page + 64 * n);
    for (size_t row = 0; row < m; row++)
        store_q8_row(x + row * stride, n, (int8_t *)page + slot + row, 64, scales + slot + row, 64);
}

static void store_q8_values(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    float *const scales = (float *)((int8_t *)page + 64 * n);
    for (size_t row = slot; row < slot + m; row++, x += stride)
        store_q8_row(x, n, (int8_t *)page + row * n, 1, scales + row * owl2_q8_groups(n), 1);
}

static void widen_q8_keys(const void *keys, size_t n, float *y) {
    const float *scales = (const float *)((const int8_t *)keys + 64 * n);
    for (size_t i = 0; i < 64 * n; i++) y[i] = ((const int8_t *)keys)[i] * scales[i / 64 / 32 * 64 + i % 64];
}

static void widen_q8_values(const void *values, size_t n, float *y) {
    const float *scales = (const float *)((const int8_t *)values + 64 * n);
    for (size_t i = 0; i < 64 * n; i++) y[i] = ((const int8_t *)values)[i] * scales[i / n * owl2_q8_groups(n) + i % n / 32];
}

static void softmax(float *x, size_t n, float scale) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)x[i] * scale);
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] * scale - most);
    for (size_t i = 0; i < n; i++) x[i] = (float)(exp((double)x[i] * scale - most) / sum);
}

static void layer_norm(const float *x, const float *weight, const float *bias, size_t n, float eps, float *y) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++) y[i] = (float)((x[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]);
}

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *y) {
    double square = 0;
    for (size_t i = 0; i < n; i++) square += (double)x[i] * x[i] / (double)n;
    for (size_t i = 0; i < n; i++) y[i] = (float)(x[i] / sqrt(square + eps) * weight[i]);
}

static void add(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void silu_multiply(float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) gate[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
}

static void quick_gelu(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(x[i] / (1 + exp(-1.702 * x[i])));
}

static void gelu(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(0.5 * x[i] * (1 + erf(x[i] / sqrt(2))));
}

static void rotate_halves(float *x, const float *cosine, const float *sine, size_t half) {
    for (size_t i = 0; i < half; i++) {
        double a = x[i], b = x[half + i];
        x[i] = (float)(a * cosine[i] - b * sine[i]);
        x[half + i] = (float)(b * cosine[i] + a * sine[i]);
    }
}

static float maximum(const float *x, size_t n) {
    float most = -INFINITY;
    for (size_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

static float quantize_int16(const float *x, size_t n, int16_t *y) { return quantize_to(x, n, OWL2_INT16_MOST, y); }

static void store_int16_keys(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    owl2_store_int16_keys(quantize_int16, x, stride, m, n, slot, page);
}

static void store_int16_values(const float *x, size_t stride, size_t m, size_t n, size_t slot, void *page) {
    int16_t q[OWL2_INT16_MOST_COLUMNS];
    for (size_t row = 0; row < m; row++) {
        owl2_int16_scales(page, n)[slot + row] = quantize_int16(x + row * stride, n, q);
        for (size_t i = 0; i < n; i++) ((int16_t *)page)[owl2_int16_pair(slot + row, i, n)] = q[i];
    }
}

static void scores_int16(const int16_t *queries, size_t m, const void *keys, size_t n, size_t columns, float *scores,
                         size_t stride) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            int64_t sum = 0;
            for (size_t l = 0; l < columns; l++)
                sum += queries[i * columns + l] * ((const int16_t *)keys)[owl2_int16_pair(l, j, 64)];
            scores[i * stride + j] = (float)((double)sum * owl2_int16_scales((void *)keys, columns)[j]);
        }
}

static float exponentials_int16(const float *x, size_t n, float scale, float most, const float *factors, int16_t *y,
                                float *y_scale) {
    float powers[64] = {0};
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double power = exp((double)x[i] * scale - (double)most * scale);
        powers[i] = (float)(power * factors[i]);
        sum += power;
    }
    *y_scale = quantize_to(powers, 64, OWL2_INT16_MOST_POWER, y);
    return (float)sum;
}

static void add_values_int16(const int16_t *powers, const float *power_scales, size_t m, const void *values, size_t n,
                             size_t columns, float *y) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < columns; j++) {
            int64_t sum = 0;
            for (size_t l = 0; l < n; l++)
                sum += powers[i * 64 + l] * ((const int16_t *)values)[owl2_int16_pair(l, j, columns)];
            y[i * columns + j] += (float)((double)sum * power_scales[i]);
        }
}

#define TIER_NAME "reference"
const owl2_kernels owl2_kernels_reference =
#include "table.inc"
