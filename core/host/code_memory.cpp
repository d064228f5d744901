// SPDX-License-Identifier: MIT
// CodeMemory: POSIX (memfd mapped twice).
#include "core/host/code_memory.h"

#include <sys/mman.h>
#include <unistd.h>

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
    int descriptor = memfd_create("shadowbox code", MFD_CLOEXEC);
    bool sized = descriptor >= 0 && ftruncate(descriptor, static_cast<off_t>(memory.size_)) == 0;
    void* write = sized ? mmap(nullptr, memory.size_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) : MAP_FAILED;
    if (write != MAP_FAILED) memory.writable_ = static_cast<u8*>(write);
    void* execute = sized ? mmap(nullptr, memory.size_, PROT_READ | PROT_EXEC, MAP_SHARED, descriptor, 0) : MAP_FAILED;
    if (execute != MAP_FAILED) memory.executable_ = static_cast<u8*>(execute);
    int why = errno;
    if (descriptor >= 0) close(descriptor);
    if (!memory.writable_ || !memory.executable_) {
        return make_error(ErrorCode::kOutOfMemory, "cannot map {} MiB for translated code: {} (try -accel interp)", size >> 20, errno_text(why));
    }
    return memory;
}

}  // namespace shadowbox
