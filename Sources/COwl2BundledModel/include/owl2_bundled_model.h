// The files of the small model, embedded in the program.
#pragma once

#include <stddef.h>

typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t size;
} owl2_bundled_file;

// How many files there are.
size_t owl2_bundled_file_count(void);

// One of the files; its bytes live as long as the program.
owl2_bundled_file owl2_bundled_file_at(size_t index);
