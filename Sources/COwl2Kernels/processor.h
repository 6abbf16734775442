// What processors of one instruction set differ in. It decides how a loop goes about its work, never what comes out.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Intel's and the first of AMD's Zen read faster in several streams side by side, each of a part of memory of its own; others
// follow one stream, in the order of memory.
bool owl2_reads_in_streams(void);

// Intel's are slower where a few rows of activations ask for the stored floats that they meet next.
bool owl2_is_intel(void);

// AMD's Zen 5 makes sixteen floats of halves beside its multiplications.
bool owl2_is_zen5(void);

// Bytes of a core's second-level cache; half a megabyte where it cannot be asked.
size_t owl2_second_cache_bytes(void);
