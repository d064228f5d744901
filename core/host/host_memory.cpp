// SPDX-License-Identifier: MIT
#include "core/host/host_memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace shadowbox {

u64 host_memory_bytes() {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? static_cast<u64>(pages) * static_cast<u64>(size) : u64{1} << 30;
}

void refuse_huge_pages(u8* begin, u64 size) { (void)madvise(begin, size, MADV_NOHUGEPAGE); }

void keep_heap_small() {
#ifdef __GLIBC__
    // Else the first large piece that is freed raises the threshold, and what the translator grows and drops
    // while a guest boots leaves an arena in holes: 26.5 MiB beside an idle guest's pages instead of 20.3.
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 128 << 10);
#endif
}

void return_free_heap() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

}  // namespace shadowbox
