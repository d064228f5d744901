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

void return_free_heap() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

}  // namespace shadowbox
