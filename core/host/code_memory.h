// SPDX-License-Identifier: MIT
// Memory for emitted host code: the same pages mapped twice, once to write and once to execute, so that no
// page is ever both (W^X). Offsets are the same in both views; relative jumps may be computed in either.
#pragma once

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

class CodeMemory {
 public:
    CodeMemory() = default;
    CodeMemory(CodeMemory&& other) noexcept;
    CodeMemory& operator=(CodeMemory&& other) noexcept;
    ~CodeMemory();

    /// `size` bytes, rounded up to pages; they take host memory only where written.
    static Expected<CodeMemory> reserve(u64 size);

    u8* writable() const { return writable_; }
    const u8* executable() const { return executable_; }
    u64 size() const { return size_; }
    /// Gives the host memory of [offset, offset+size) back, page granular; it reads as zeros afterwards.
    void release(u64 offset, u64 size);

 private:
    u8* writable_ = nullptr;
    u8* executable_ = nullptr;
    u64 size_ = 0;
};

}  // namespace shadowbox
