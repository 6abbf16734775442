// A stretch of a prepared row of activations (owl2_block_kernels.h).
#pragma once

#include "conversions.h"
#include "owl2_block_kernels.h"
#include "processor.h"

typedef struct {
    int8_t q[512];
    float scale[16];
    int32_t less8[16];
    int16_t less_halves[16][2];
} prepared_stretch;

_Static_assert(sizeof(prepared_stretch) == OWL2_STRETCH_BYTES, "a stretch has no gaps");

// A row's first stretch, and how many stretches further each next one stands: as many as its tile has rows.
typedef struct {
    prepared_stretch *first;
    size_t step;
} prepared_row;

// Row i of m prepared rows of k columns.
static inline prepared_row owl2_prepared_row(const void *rows, size_t i, size_t m, size_t k) {
    const size_t above = i / OWL2_TILE_ROWS * OWL2_TILE_ROWS, rest = m - above;
    return (prepared_row){(prepared_stretch *)rows + above * owl2_stretches(k) + (i - above),
                          rest < OWL2_TILE_ROWS ? rest : OWL2_TILE_ROWS};
}

// Groups with a magnitude of 2^100, infinity or NaN, as bits, count as not finite.
#define OWL2_TOO_LARGE_BITS 0x71800000

// 3 * 2^22. With its bits, an integer of a magnitude below 2^22 is the Float32 OWL2_ABOVE + integer without a conversion; and
// (OWL2_ABOVE + sum) * scale - OWL2_ABOVE * scale is one fused operation, exactly rounded, as the second product is exact.
#define OWL2_ABOVE 12582912.0f

// The bits that a group's scale keeps: 22 significant ones, so that its product with OWL2_ABOVE is exact.
#define OWL2_SCALE_BITS 0xfffffffcu

// The scale of a group, of its largest magnitude.
static inline float owl2_group_scale(float most) {
    const float scale = most / 127;
    uint32_t bits;
    __builtin_memcpy(&bits, &scale, sizeof bits);
    return owl2_float_from_bits(bits & OWL2_SCALE_BITS);
}

// Sets what belongs to group g beside its bytes: the scale, of its largest magnitude, and its halves' sums.
static inline void owl2_set_group(prepared_stretch *to, size_t g, float most, int32_t first, int32_t second) {
    to->scale[g] = owl2_group_scale(most);
    to->less8[g] = -8 * (first + second);
    to->less_halves[g][0] = (int16_t)-first, to->less_halves[g][1] = (int16_t)-second;
}

// `have` bytes of weights with zeros behind them, `bytes` in all, copied to `padded`.
static inline const char *owl2_with_zeros_behind(const char *w, size_t have, char *padded, size_t bytes) {
    __builtin_memset(padded + have, 0, bytes - have);
    return __builtin_memcpy(padded, w, have);
}

// The place of element `column` of row i of m in a stretch, whose bytes have it at `byte`.
static inline owl2_place owl2_place_in_stretch(size_t i, size_t m, size_t k, size_t column, size_t byte) {
    const prepared_row row = owl2_prepared_row(NULL, i, m, k);
    const size_t stretch = (size_t)(row.first + column / 512 * row.step);
    return (owl2_place){stretch + byte, stretch + offsetof(prepared_stretch, scale) + column % 512 / OWL2_GROUP * sizeof(float)};
}

// Of m rows of k columns, how many in whole tiles take up to so many bytes prepared; but at least `least`.
static inline size_t owl2_rows_of_block(size_t m, size_t bytes, size_t k, size_t least) {
    const size_t some = bytes / owl2_prepared_bytes(k) / OWL2_TILE_ROWS * OWL2_TILE_ROWS, rows = some < least ? least : some;
    return m < rows ? m : rows;
}

// Asks for the lines of some bytes, into the first-level cache or only into the second one.
static inline __attribute__((always_inline)) void owl2_ask_for(const char *from, size_t bytes, const int first_level) {
    for (size_t line = 0; line < bytes; line += 64) {
        if (first_level) __builtin_prefetch(from + line, 0, 3);
        else __builtin_prefetch(from + line, 0, 2);
    }
}

// Asks for the lines that n outputs of some rows go to: a store of a few of each would wait for its line.
static inline __attribute__((always_inline)) void owl2_ask_for_outputs(const float *y, size_t rows, size_t n, size_t y_stride) {
    for (size_t i = 0; i < rows; i++) owl2_ask_to_write(y + i * y_stride, n * sizeof *y);
}

// Weights that come next, of which some are asked for at a time: in the order of memory, into the first-level cache;
// where memory is read in streams, as four of them, each of a part of the weights, into the second one.
typedef struct {
    const char *first;
    bool in_streams;
    size_t part, asked, due;  // bytes of a stream
} next_weights;

enum { OWL2_STREAMS = 4 };

static inline size_t owl2_bytes_of_stream(bool in_streams, size_t bytes) { return in_streams ? bytes / OWL2_STREAMS : bytes; }

static inline next_weights owl2_next_weights(const char *first, size_t bytes) {
    const bool in_streams = owl2_reads_in_streams();
    return (next_weights){first, in_streams, owl2_bytes_of_stream(in_streams, bytes), 0, 0};
}

static inline __attribute__((always_inline)) void owl2_ask_for_next(next_weights *next, size_t bytes) {
    next->due += owl2_bytes_of_stream(next->in_streams, bytes);
    for (; next->asked < next->due; next->asked += 64) {
        const char *at = next->first + next->asked;
        if (!next->in_streams) __builtin_prefetch(at, 0, 3);
        else
            for (size_t i = 0; i < OWL2_STREAMS; i++) __builtin_prefetch(at + i * next->part, 0, 2);
    }
}

// For products that need no memory beside.
static inline size_t owl2_no_working_bytes(size_t m, size_t k) {
    (void)m, (void)k;
    return 0;
}

// The order of the tables over 16 bytes and of the naive twin: group g has the 16-byte place g / 4 in part g % 4 of 128 bytes
// for its first half, and the same place 64 bytes further for its second half.
static inline size_t owl2_place_by_halves(size_t g, size_t i) {
    return g % 4 * 128 + i / 16 * 64 + g / 4 * 16 + i % 16;
}

static inline owl2_place owl2_place_of_halves(size_t i, size_t m, size_t k, size_t column) {
    return owl2_place_in_stretch(i, m, k, column, owl2_place_by_halves(column % 512 / OWL2_GROUP, column % OWL2_GROUP));
}
