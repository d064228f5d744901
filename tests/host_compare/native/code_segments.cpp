// SPDX-License-Identifier: MIT
#include "native/code_segments.h"

#include <cstdlib>
#include <cstring>

#include "cpu/state/registers.h"

namespace shadowbox::compare {

namespace {

/// A 32-bit code segment of user programs, present (SDM 2A, LAR).
bool lar_allows(u16 selector) {
    u32 rights = 0;
    bool valid = false;
    asm("lar %2, %0" : "+r"(rights), "=@ccz"(valid) : "r"(u32{selector}) : "cc");
    constexpr u32 kCode = 1u << 11, kNotSystem = 1u << 12, kDpl3 = 3u << 13, kPresent = 1u << 15,
                  kLong = 1u << 21, kBig = 1u << 22;
    constexpr u32 kWanted = kCode | kNotSystem | kDpl3 | kPresent | kBig;
    return valid && (rights & (kWanted | kLong)) == kWanted;
}

/// INC EAX, whose byte is a REX prefix in 64-bit mode; then HLT.
bool runs_there(NativeWorker& worker, u16 selector) {
    TestCase c;
    c.mode32 = true;
    c.code_offset = 64;
    c.code[0] = 0x40;
    c.code_size = 1;
    c.start.rip = kCode + c.code_offset;
    c.start.cs = selector;
    c.start.flags = 0x202;
    c.start.gpr[kRsp] = kStack + 0x800;
    c.start.fx[0] = 0x7F, c.start.fx[1] = 3, c.start.fx[24] = 0x80, c.start.fx[25] = 0x1F;
    worker.shared().cases[0] = c;
    worker.shared().count = 1;
    worker.run();
    const Outcome& o = worker.shared().outcomes[0];
    return o.kind == Outcome::kException && o.vector == 13 && o.end.rip == c.start.rip + 1 &&
           static_cast<u32>(o.end.gpr[kRax]) == 1 && o.end.cs == selector;
}

}  // namespace

Code32 find_code32(NativeWorker& worker, Deny32 deny) {
    if (deny == Deny32::kAll) return {0, "denied by option or environment"};
    if (!worker.usable()) return {0, "no worker"};
    bool listed = deny != Deny32::kGdt && lar_allows(kGdtCode32);
    if (listed && runs_there(worker, kGdtCode32)) return {kGdtCode32, "selector 23H"};
    worker.use_ldt();
    if (runs_there(worker, kLdtCode32)) return {kLdtCode32, "an LDT segment"};
    return {0, listed ? "selector 23H does not run, an LDT segment neither"
                      : "LAR of selector 23H fails, an LDT segment does not run"};
}

Deny32 denied_by_environment() {
    const char* value = std::getenv("SHADOWBOX_DENY_32BIT");
    return value && *value && strcmp(value, "0") != 0 ? Deny32::kAll : Deny32::kNone;
}

}  // namespace shadowbox::compare
