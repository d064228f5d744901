// SPDX-License-Identifier: MIT
// MemoryMap: POSIX (mmap, memfd, madvise).
#include "core/host/memory_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace shadowbox {

namespace {
int protection_bits(MemoryMap::Protection protection) {
    switch (protection) {
        case MemoryMap::Protection::kNone: return PROT_NONE;
        case MemoryMap::Protection::kRead: return PROT_READ;
        case MemoryMap::Protection::kReadWrite: return PROT_READ | PROT_WRITE;
        case MemoryMap::Protection::kReadWriteExecute: return PROT_READ | PROT_WRITE | PROT_EXEC;
    }
    return PROT_NONE;
}
}  // namespace

MemoryMap::MemoryMap(MemoryMap&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

MemoryMap& MemoryMap::operator=(MemoryMap&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

MemoryMap::~MemoryMap() {
    if (data_) munmap(data_, size_);
    if (descriptor_ >= 0) close(descriptor_);
}

Expected<MemoryMap> MemoryMap::reserve(u64 size, u64 alignment, Backing backing, Protection protection) {
    MemoryMap map;
    if (size == 0) return make_error(ErrorCode::kInvalidArgument, "cannot reserve an empty memory region");
    // Reserve with slack and no rights, then place the real mapping at the aligned start and unmap the rest.
    u64 slack = alignment > 4096 ? alignment : 0;
    void* whole = mmap(nullptr, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED) {
        return make_error(ErrorCode::kOutOfMemory, "cannot reserve {} MiB of address space: {}", size >> 20,
                          errno_text(errno));
    }
    u8* start = static_cast<u8*>(whole);
    u8* aligned = reinterpret_cast<u8*>((reinterpret_cast<u64>(start) + alignment - 1) & ~(alignment - 1));
    u64 page_rounded = (size + 4095) & ~u64{4095};
    if (aligned > start) munmap(start, static_cast<u64>(aligned - start));
    u64 behind = static_cast<u64>(start + ((size + slack + 4095) & ~u64{4095}) - (aligned + page_rounded));
    if (behind) munmap(aligned + page_rounded, behind);
    map.data_ = aligned;
    map.size_ = page_rounded;
    int flags = MAP_FIXED | MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS;
    if (backing == Backing::kShared) {
        map.descriptor_ = memfd_create("shadowbox", MFD_CLOEXEC);
        if (map.descriptor_ < 0 || ftruncate(map.descriptor_, static_cast<off_t>(page_rounded)) != 0) {
            return make_error(ErrorCode::kOutOfMemory, "cannot make a shared memory file of {} MiB: {}",
                              size >> 20, errno_text(errno));
        }
        flags = MAP_FIXED | MAP_NORESERVE | MAP_SHARED;
    }
    if (mmap(aligned, page_rounded, protection_bits(protection), flags, map.descriptor_, 0) == MAP_FAILED) {
        return make_error(ErrorCode::kOutOfMemory, "cannot map {} MiB of memory: {}", size >> 20,
                          errno_text(errno));
    }
    return map;
}

bool MemoryMap::release(u64 offset, u64 size) {
    // MADV_DONTNEED on a shared mapping keeps the file's pages; MADV_REMOVE punches a hole.
    return madvise(data_ + offset, size, descriptor_ >= 0 ? MADV_REMOVE : MADV_DONTNEED) == 0;
}

void MemoryMap::advise_huge(u64 offset, u64 size) { (void)madvise(data_ + offset, size, MADV_HUGEPAGE); }

void MemoryMap::advise_small(u64 offset, u64 size) { (void)madvise(data_ + offset, size, MADV_NOHUGEPAGE); }

bool MemoryMap::protect(u64 offset, u64 size, Protection protection) {
    return mprotect(data_ + offset, size, protection_bits(protection)) == 0;
}

}  // namespace shadowbox
