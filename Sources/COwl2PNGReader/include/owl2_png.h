// Reads PNG pictures row by row as 8-bit RGB. libpng reports errors by longjmp, which Swift cannot call through, so
// every such jump begins and ends inside this target.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define OWL2_PNG_MESSAGE_SIZE 160

typedef struct owl2_png_reader owl2_png_reader;

typedef struct {
    uint32_t width, height;
    uint32_t bits_per_pixel;
    uint32_t pass_count;  // 1, or 7 for an interlaced picture
} owl2_png_header;

// Where the pixels of a pass lie in the picture: column first_column + i * column_step, row first_row + j * row_step.
typedef struct {
    uint32_t width, height;
    uint32_t first_column, column_step;
    uint32_t first_row, row_step;
} owl2_png_pass;

// Reads everything in front of the pixels. `bytes` must stay until the reader is closed.
// Returns NULL, with a message, for what is no sound PNG.
owl2_png_reader *owl2_png_open(const uint8_t *bytes, size_t count, owl2_png_header *header,
                               char message[OWL2_PNG_MESSAGE_SIZE]);

// The geometry of a pass of the picture; width or height may be 0.
owl2_png_pass owl2_png_pass_geometry(const owl2_png_reader *reader, uint32_t pass);

// Reads the next row of the passes, in their order, without those that are empty: 3 bytes for each of its pixels.
// Alpha and tRNS are dropped, palettes looked up (an index past the palette is black), 16-bit grey is clipped to
// 0...255, other 16-bit samples keep their high byte, fewer than 8 bits of grey are scaled to 0...255; gamma is ignored.
// Returns 0, with a message, when the data end or are corrupt.
int owl2_png_read_row(owl2_png_reader *reader, uint8_t *rgb, uint32_t pixel_count,
                      char message[OWL2_PNG_MESSAGE_SIZE]);

void owl2_png_close(owl2_png_reader *reader);
