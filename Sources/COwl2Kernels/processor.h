// What processors of one instruction set differ in. It decides how a loop goes about its work, never what comes out.
#pragma once

#include <stdbool.h>

// Intel's bring weights sooner when several rows are read and asked for side by side; others follow one stream, in the order of
// memory.
bool owl2_is_intel(void);

// AMD's Zen 5 makes sixteen floats of halves beside its multiplications.
bool owl2_is_zen5(void);
