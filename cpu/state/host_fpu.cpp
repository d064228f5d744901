// SPDX-License-Identifier: MIT
// Switching between the guest's and the C++ world's floating-point controls, and which optional instructions
// the host has.
#include "cpu/state/host_fpu.h"

#include <cpuid.h>

#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
HostFeatures detect() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    HostFeatures features{};
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        features.ssse3 = c >> 9 & 1;
        features.pclmul = c >> 1 & 1;
        features.aes = c >> 25 & 1;
        if (c >> 27 & 1) {  // OSXSAVE: XGETBV tells whether the system saves YMM registers
            u32 low, high;
            asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
            bool ymm = (low & 6) == 6;
            features.avx = ymm && (c >> 28 & 1);
            features.fma = features.avx && (c >> 12 & 1);
            features.f16c = features.avx && (c >> 29 & 1);
        }
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        features.sha = b >> 29 & 1;
        features.avx2 = features.avx && (b >> 5 & 1);
    }
    return features;
}
constexpr u32 kDefaultMxcsr = 0x1F80;
constexpr u16 kDefaultX87Control = 0x37F;
}  // namespace

const HostFeatures kHostFeatures = detect();

void reload_host_x87(const Vcpu& cpu) {
    host::clear_x87_flags();  // first: FLDCW waits for pending exceptions
    host::set_x87_control(cpu.x87.control | 0x3F);
}

void enter_guest_fp(Vcpu& cpu) {
    host::set_mxcsr(cpu.mxcsr | host::kMxcsrMasks);
    reload_host_x87(cpu);
}

void leave_guest_fp(Vcpu& cpu) {
    cpu.sync_mxcsr();
    host::set_mxcsr(kDefaultMxcsr);
    host::clear_x87_flags();
    host::set_x87_control(kDefaultX87Control);
}

}  // namespace shadowbox
