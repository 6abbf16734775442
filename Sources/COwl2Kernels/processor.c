#include "processor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>

enum { NOT_ASKED, OTHER, INTEL, ZEN5 };

// Asking takes microseconds in a virtual machine. Threads that ask at once get the same answer.
static int processor(void) {
    static atomic_int known = NOT_ASKED;
    int kind = atomic_load_explicit(&known, memory_order_relaxed);
    if (kind != NOT_ASKED) return kind;
    kind = OTHER;
    unsigned most, name[3], version, b, c, d;
    if (__get_cpuid(0, &most, name, name + 2, name + 1)) {
        if (memcmp(name, "GenuineIntel", sizeof name) == 0) kind = INTEL;
        const bool is_amd = memcmp(name, "AuthenticAMD", sizeof name) == 0 && __get_cpuid(1, &version, &b, &c, &d);
        if (is_amd && (version >> 8 & 15) + (version >> 20 & 255) == 0x1a) kind = ZEN5;
    }
    atomic_store_explicit(&known, kind, memory_order_relaxed);
    return kind;
}

bool owl2_is_intel(void) { return processor() == INTEL; }
bool owl2_is_zen5(void) { return processor() == ZEN5; }
#else
bool owl2_is_intel(void) { return false; }
bool owl2_is_zen5(void) { return false; }
#endif
