#include "owl2_png.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

struct owl2_png_reader {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t count, position;
    uint8_t *row;  // one unpacked row of the file; allocated with the first row that is read
    png_byte colour_type, bit_depth;
    uint8_t palette[256][3];
    char message[OWL2_PNG_MESSAGE_SIZE];
};

static void fail(png_structp png, png_const_charp text) {
    owl2_png_reader *reader = png_get_error_ptr(png);
    strncpy(reader->message, text, OWL2_PNG_MESSAGE_SIZE - 1);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep target, size_t count) {
    owl2_png_reader *reader = png_get_io_ptr(png);
    if (count > reader->count - reader->position) png_error(png, "the data end too early");
    memcpy(target, reader->bytes + reader->position, count);
    reader->position += count;
}

static void copy_palette(owl2_png_reader *reader) {
    png_colorp colours = NULL;
    int count = 0;
    if (!png_get_PLTE(reader->png, reader->info, &colours, &count)) return;
    for (int i = 0; i < count && i < 256; i++) {
        reader->palette[i][0] = colours[i].red;
        reader->palette[i][1] = colours[i].green;
        reader->palette[i][2] = colours[i].blue;
    }
}

// Separate from its caller, so that no local variable lives across the setjmp.
static int read_header(owl2_png_reader *reader, owl2_png_header *header) {
    if (setjmp(png_jmpbuf(reader->png))) return 0;
    png_set_read_fn(reader->png, reader, read_bytes);
    // A chunk with a wrong checksum is an error, also an ancillary one; what colour profiles, gamma and text say is
    // not used, so those chunks are skipped unread.
    png_set_crc_action(reader->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(reader->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_check_for_invalid_index(reader->png, 0);
    png_set_option(reader->png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
    png_read_info(reader->png, reader->info);
    header->width = png_get_image_width(reader->png, reader->info);
    header->height = png_get_image_height(reader->png, reader->info);
    reader->colour_type = png_get_color_type(reader->png, reader->info);
    reader->bit_depth = png_get_bit_depth(reader->png, reader->info);
    header->bits_per_pixel = (uint32_t)reader->bit_depth * png_get_channels(reader->png, reader->info);
    header->pass_count = png_get_interlace_type(reader->png, reader->info) == PNG_INTERLACE_NONE ? 1 : 7;
    copy_palette(reader);
    png_set_packing(reader->png);
    png_read_update_info(reader->png, reader->info);
    return 1;
}

owl2_png_reader *owl2_png_open(const uint8_t *bytes, size_t count, owl2_png_header *header,
                               char message[OWL2_PNG_MESSAGE_SIZE]) {
    owl2_png_reader *reader = calloc(1, sizeof *reader);
    if (reader) {
        reader->bytes = bytes;
        reader->count = count;
        strcpy(reader->message, "out of memory");
        reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, fail, ignore_warning);
        reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
        if (reader->info && read_header(reader, header)) return reader;
    }
    strcpy(message, reader ? reader->message : "out of memory");
    owl2_png_close(reader);
    return NULL;
}

owl2_png_pass owl2_png_pass_geometry(const owl2_png_reader *reader, uint32_t pass) {
    uint32_t width = png_get_image_width(reader->png, reader->info);
    uint32_t height = png_get_image_height(reader->png, reader->info);
    if (png_get_interlace_type(reader->png, reader->info) == PNG_INTERLACE_NONE || pass > 6) {
        return (owl2_png_pass){width, height, 0, 1, 0, 1};
    }
    return (owl2_png_pass){
        .width = PNG_PASS_COLS(width, pass),
        .height = PNG_PASS_ROWS(height, pass),
        .first_column = PNG_PASS_START_COL(pass),
        .column_step = PNG_PASS_COL_OFFSET(pass),
        .first_row = PNG_PASS_START_ROW(pass),
        .row_step = PNG_PASS_ROW_OFFSET(pass),
    };
}

static int next_row(owl2_png_reader *reader) {
    if (setjmp(png_jmpbuf(reader->png))) return 0;
    if (!reader->row) {
        reader->row = malloc(png_get_rowbytes(reader->png, reader->info));
        if (!reader->row) png_error(reader->png, "out of memory");
    }
    png_read_row(reader->png, reader->row, NULL);
    return 1;
}

static void convert_grey(const owl2_png_reader *reader, uint8_t *rgb, uint32_t pixel_count) {
    const int channels = reader->colour_type & PNG_COLOR_MASK_ALPHA ? 2 : 1;
    const uint8_t *source = reader->row;
    if (reader->bit_depth < 16) {
        const int scale = 255 / ((1 << reader->bit_depth) - 1);
        for (uint32_t i = 0; i < pixel_count; i++, source += channels) memset(rgb + 3 * (size_t)i, *source * scale, 3);
        return;
    }
    for (uint32_t i = 0; i < pixel_count; i++, source += 2 * channels) {
        const uint8_t value = channels == 1 && source[0] ? 255 : source[channels == 1 ? 1 : 0];
        memset(rgb + 3 * (size_t)i, value, 3);
    }
}

static void convert_colour(const owl2_png_reader *reader, uint8_t *rgb, uint32_t pixel_count) {
    const int sample = reader->bit_depth / 8;
    const int step = sample * (reader->colour_type & PNG_COLOR_MASK_ALPHA ? 4 : 3);
    const uint8_t *source = reader->row;
    for (uint32_t i = 0; i < pixel_count; i++, source += step, rgb += 3) {
        rgb[0] = source[0];
        rgb[1] = source[sample];
        rgb[2] = source[2 * sample];
    }
}

int owl2_png_read_row(owl2_png_reader *reader, uint8_t *rgb, uint32_t pixel_count,
                      char message[OWL2_PNG_MESSAGE_SIZE]) {
    if (!next_row(reader)) {
        strcpy(message, reader->message);
        return 0;
    }
    if (reader->colour_type == PNG_COLOR_TYPE_PALETTE) {
        for (uint32_t i = 0; i < pixel_count; i++) memcpy(rgb + 3 * (size_t)i, reader->palette[reader->row[i]], 3);
    } else if (reader->colour_type & PNG_COLOR_MASK_COLOR) {
        convert_colour(reader, rgb, pixel_count);
    } else {
        convert_grey(reader, rgb, pixel_count);
    }
    return 1;
}

void owl2_png_close(owl2_png_reader *reader) {
    if (!reader) return;
    if (reader->png) png_destroy_read_struct(&reader->png, reader->info ? &reader->info : NULL, NULL);
    free(reader->row);
    free(reader);
}
