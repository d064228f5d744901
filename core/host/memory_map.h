// SPDX-License-Identifier: MIT
// A region of the host's virtual memory: reserved once, filled by the host on first touch, given back in
// pieces. Used by the machine pool, its metadata and the translator's code buffer.
#pragma once

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

class MemoryMap {
 public:
    enum class Backing {
        kAnonymous,  ///< private memory of this process
        kShared,     ///< a nameless file in memory, which other processes can be given
    };
    enum class Protection { kNone, kRead, kReadWrite, kReadWriteExecute };

    MemoryMap() = default;
    MemoryMap(MemoryMap&& other) noexcept;
    MemoryMap& operator=(MemoryMap&& other) noexcept;
    ~MemoryMap();

    /// Reserves `size` bytes at an address that is a multiple of `alignment` (a power of two). They read as
    /// zeros and take host memory only where written.
    static Expected<MemoryMap> reserve(u64 size, u64 alignment = 4096, Backing backing = Backing::kAnonymous,
                                       Protection protection = Protection::kReadWrite);

    u8* data() const { return data_; }
    u64 size() const { return size_; }
    explicit operator bool() const { return data_ != nullptr; }

    /// Gives the host memory of [offset, offset+size) back; it reads as zeros afterwards. Page granular.
    /// false: the host refused, the contents are unchanged.
    bool release(u64 offset, u64 size);
    /// Asks for large host pages in [offset, offset+size). Advice only.
    void advise_huge(u64 offset, u64 size);
    /// The opposite: none there, and none made later of what is already in memory. Advice only.
    void advise_small(u64 offset, u64 size);
    /// Changes the protection of whole host pages.
    bool protect(u64 offset, u64 size, Protection protection);

 private:
    u8* data_ = nullptr;
    u64 size_ = 0;
    int descriptor_ = -1;  // of the backing file, kShared only
};

}  // namespace shadowbox
