// The naive twin of attention by tiles of bfloat16: the formula of owl2_tile_attention.h in plain loops and double precision,
// with every number rounded to the sum of its parts.
#include <math.h>

#include "conversions.h"
#include "owl2_tile_attention.h"

static float sum_of_parts(float x, size_t parts) {
    float sum = 0;
    for (size_t part = 0; part < parts; part++) sum += owl2_float_from_bfloat16(owl2_bfloat16_part(x, part));
    return sum;
}

// Keys, then values.
static size_t prepared_bytes(owl2_precision precision, size_t n, size_t columns) {
    (void)precision;
    return 2 * n * columns * sizeof(float);
}

static void prepare(owl2_precision precision, const float *keys, const float *values, size_t stride, size_t n, size_t columns,
                    void *head) {
    float *to = head;
    for (size_t j = 0; j < n; j++)
        for (size_t column = 0; column < columns; column++, to++) {
            *to = sum_of_parts(keys[j * stride + column], owl2_score_parts(precision));
            to[n * columns] = sum_of_parts(values[j * stride + column], owl2_value_parts(precision));
        }
}

static size_t working_bytes(owl2_precision precision, size_t n, size_t columns) {
    (void)precision, (void)columns;
    return n * sizeof(double);
}

static void attend(owl2_precision precision, const float *queries, size_t stride, size_t m, const void *head, size_t n,
                   size_t columns, float *y, size_t y_stride, void *working) {
    const float *keys = head, *values = keys + n * columns;
    double *powers = working;
    for (size_t i = 0; i < m; i++) {
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            powers[j] = 0;
            for (size_t column = 0; column < columns; column++) {
                const float query = sum_of_parts(queries[i * stride + column], owl2_score_parts(precision));
                powers[j] += (double)query * keys[j * columns + column] / sqrt((double)columns);
            }
            if (powers[j] > most) most = powers[j];
        }
        for (size_t j = 0; j < n; j++) {
            powers[j] = exp(powers[j] - most);
            sum += powers[j];
            powers[j] = sum_of_parts((float)powers[j], owl2_value_parts(precision));
        }
        for (size_t column = 0; column < columns; column++) {
            double result = 0;
            for (size_t j = 0; j < n; j++) result += powers[j] * values[j * columns + column];
            y[i * y_stride + column] = (float)(result / sum);
        }
    }
}

const owl2_tile_attention owl2_tile_attention_reference = {"reference", prepared_bytes, prepare, working_bytes, attend};
