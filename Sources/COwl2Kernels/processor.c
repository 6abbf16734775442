#include "processor.h"

enum { UNKNOWN_SECOND_CACHE_BYTES = 512 << 10 };

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>

enum { NOT_ASKED, OTHER, INTEL, ZEN1, ZEN5 };

// Asking takes microseconds in a virtual machine. Threads that ask at once get the same answer.
static int processor(void) {
    static atomic_int known = NOT_ASKED;
    int kind = atomic_load_explicit(&known, memory_order_relaxed);
    if (kind != NOT_ASKED) return kind;
    kind = OTHER;
    unsigned most, name[3], version = 0, b, c, d;
    if (__get_cpuid(0, &most, name, name + 2, name + 1)) {
        if (memcmp(name, "GenuineIntel", sizeof name) == 0) kind = INTEL;
        const bool is_amd = memcmp(name, "AuthenticAMD", sizeof name) == 0 && __get_cpuid(1, &version, &b, &c, &d);
        const unsigned family = (version >> 8 & 15) + (version >> 20 & 255), model = version >> 12 & 0xf0;
        if (is_amd && family == 0x17 && model < 0x30) kind = ZEN1;  // Zen 2 has the later models
        if (is_amd && family == 0x1a) kind = ZEN5;
    }
    atomic_store_explicit(&known, kind, memory_order_relaxed);
    return kind;
}

bool owl2_is_intel(void) { return processor() == INTEL; }
bool owl2_reads_in_streams(void) { return owl2_is_intel() || processor() == ZEN1; }
bool owl2_is_zen5(void) { return processor() == ZEN5; }

// Intel's and AMD's processors describe their caches alike, one for each number from 0 on.
size_t owl2_second_cache_bytes(void) {
    static atomic_size_t known = 0;
    size_t bytes = atomic_load_explicit(&known, memory_order_relaxed);
    if (bytes) return bytes;
    bytes = UNKNOWN_SECOND_CACHE_BYTES;
    const unsigned leaf = owl2_is_intel() ? 4 : 0x8000001d;
    unsigned kind, ways, sets, d;
    for (unsigned i = 0; i < 8 && __get_cpuid_count(leaf, i, &kind, &ways, &sets, &d) && kind & 31; i++) {
        const bool is_second = (kind >> 5 & 7) == 2;
        const size_t line = (ways & 4095) + 1, partitions = (ways >> 12 & 1023) + 1;
        if (is_second) bytes = line * partitions * ((ways >> 22) + 1) * ((size_t)sets + 1);
    }
    atomic_store_explicit(&known, bytes, memory_order_relaxed);
    return bytes;
}
#else
bool owl2_is_intel(void) { return false; }
bool owl2_reads_in_streams(void) { return false; }
bool owl2_is_zen5(void) { return false; }
size_t owl2_second_cache_bytes(void) { return UNKNOWN_SECOND_CACHE_BYTES; }
#endif
