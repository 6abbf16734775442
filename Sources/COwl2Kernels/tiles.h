// The shapes of AMX's eight tiles: four of sums, two of weights and two of rows of activations.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { OWL2_FIRST_TILE_OF_WEIGHTS = 4, OWL2_FIRST_TILE_OF_ROWS = 6 };

// As ldtilecfg takes them.
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} owl2_tile_shapes;

_Static_assert(sizeof(owl2_tile_shapes) == 64, "the processor's layout");

// For products of `depth` bytes, a multiple of 4 and at most 64, of 16 rows of weights by 16 rows of activations in the first
// tile of them and by `columns`, at most 16, in the second one; sums likewise, in turn.
static inline owl2_tile_shapes owl2_tile_shapes_of(size_t depth, size_t columns) {
    owl2_tile_shapes shapes = {.palette = 1};
    for (size_t t = 0; t < 8; t++) {
        const int is_weights = t / 2 * 2 == OWL2_FIRST_TILE_OF_WEIGHTS, is_rows = t / 2 * 2 == OWL2_FIRST_TILE_OF_ROWS;
        shapes.row_bytes[t] = (uint16_t)(is_weights ? depth : 4 * (t % 2 ? columns : 16));
        shapes.rows[t] = (uint8_t)(is_rows ? depth / 4 : 16);
    }
    return shapes;
}
