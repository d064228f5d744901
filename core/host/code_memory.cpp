// SPDX-License-Identifier: MIT
// CodeMemory: Linux (shared anonymous pages mapped twice).
#include "core/host/code_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace shadowbox {

CodeMemory::CodeMemory(CodeMemory&& other) noexcept
    : writable_(std::exchange(other.writable_, nullptr)),
      executable_(std::exchange(other.executable_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

CodeMemory& CodeMemory::operator=(CodeMemory&& other) noexcept {
    std::swap(writable_, other.writable_);
    std::swap(executable_, other.executable_);
    std::swap(size_, other.size_);
    return *this;
}

CodeMemory::~CodeMemory() {
    if (writable_) munmap(writable_, size_);
    if (executable_) munmap(executable_, size_);
}

Expected<CodeMemory> CodeMemory::reserve(u64 size) {
    CodeMemory memory;
    memory.size_ = (size + 4095) & ~u64{4095};
    void* write = mmap(nullptr, memory.size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (write != MAP_FAILED) memory.writable_ = static_cast<u8*>(write);
    // An old size of 0 maps shared pages a second time. Being anonymous, they are memory that perf looks up
    // in its map file.
    void* execute = memory.writable_ ? mremap(memory.writable_, 0, memory.size_, MREMAP_MAYMOVE) : MAP_FAILED;
    if (execute != MAP_FAILED) memory.executable_ = static_cast<u8*>(execute);
    const bool permitted = memory.executable_ && mprotect(execute, memory.size_, PROT_READ | PROT_EXEC) == 0;
    int why = errno;
    if (!permitted) {
        return make_error(ErrorCode::kOutOfMemory,
                          "cannot map {} MiB for translated code: {} (try -accel interp)", size >> 20,
                          errno_text(why));
    }
    return memory;
}

void CodeMemory::release(u64 offset, u64 size) {
    // The pages are shared by the two views: MADV_DONTNEED would keep them.
    (void)madvise(writable_ + offset, size, MADV_REMOVE);
}

}  // namespace shadowbox
