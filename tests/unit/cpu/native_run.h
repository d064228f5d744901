// SPDX-License-Identifier: MIT
// Runs one instruction on the host CPU with a given state of general registers (but RSP), arithmetic flags,
// x87 and XMM,
// and gives the state afterwards. x86-64 hosts only. Exceptions stay masked by the caller's choice of state.
#pragma once

#if defined(__x86_64__)

#include <sys/mman.h>

#include <cstring>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

struct NativeState {
    alignas(64) u8 fx[512] = {};  ///< FXSAVE64 image
    u64 gpr[16] = {};
    u64 flags = 2;
};

class NativeRunner {
 public:
    NativeRunner() {
        code_ = static_cast<u8*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    }
    ~NativeRunner() { munmap(code_, 4096); }
    NativeRunner(const NativeRunner&) = delete;
    NativeRunner& operator=(const NativeRunner&) = delete;

    bool usable() const { return code_ != MAP_FAILED; }

    /// The state lies at a fixed place relative to the code: loads, the instruction, stores.
    void run(NativeState& state, const std::vector<u8>& insn) {
        out_.clear();
        memcpy(code_ + kState, &state, sizeof state);
        bytes({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57});  // push rbx rbp r12-r15
        relative({0x48, 0x0F, 0xAE, 0x0D}, offsetof(NativeState, fx));        // fxrstor64
        relative({0xFF, 0x35}, offsetof(NativeState, flags));                 // push
        bytes({0x9D});                                                        // popf
        for (u8 r = 0; r < 16; ++r) {
            if (r != 4) relative({static_cast<u8>(r < 8 ? 0x48 : 0x4C), 0x8B, static_cast<u8>(5 | (r & 7) << 3)}, gpr_at(r));
        }
        out_.insert(out_.end(), insn.begin(), insn.end());
        for (u8 r = 0; r < 16; ++r) {
            if (r != 4) relative({static_cast<u8>(r < 8 ? 0x48 : 0x4C), 0x89, static_cast<u8>(5 | (r & 7) << 3)}, gpr_at(r));
        }
        bytes({0x9C});                                                        // pushf
        relative({0x8F, 0x05}, offsetof(NativeState, flags));                 // pop
        relative({0x48, 0x0F, 0xAE, 0x05}, offsetof(NativeState, fx));        // fxsave64
        bytes({0xDB, 0xE3, 0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3});
        memcpy(code_, out_.data(), out_.size());
        u32 mxcsr;
        asm volatile("stmxcsr %0" : "=m"(mxcsr));
        reinterpret_cast<void (*)()>(code_)();
        asm volatile("ldmxcsr %0" : : "m"(mxcsr));
        memcpy(&state, code_ + kState, sizeof state);
    }

 private:
    static constexpr unsigned kState = 2048;
    static unsigned gpr_at(unsigned r) { return static_cast<unsigned>(offsetof(NativeState, gpr)) + 8 * r; }
    void bytes(std::initializer_list<u8> list) { out_.insert(out_.end(), list); }
    void relative(std::initializer_list<u8> list, std::size_t place) {
        bytes(list);
        i32 distance = static_cast<i32>(kState + place) - static_cast<i32>(out_.size() + 4);
        const u8* raw = reinterpret_cast<const u8*>(&distance);
        out_.insert(out_.end(), raw, raw + 4);
    }

    u8* code_;
    std::vector<u8> out_;
};

}  // namespace shadowbox

#endif
