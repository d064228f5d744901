// SPDX-License-Identifier: MIT
#include "sequences/start_state.h"

#include <cstring>

#include "cpu/state/registers.h"

namespace shadowbox::compare {

u64 data_address(RandomSource& random, bool mode32, bool wide, bool aligned, bool low) {
    if (low) return kLow + 64 + random.below(kLowSize - 700);
    u64 align = aligned ? (random.chance(93) ? ~u64{15} : ~u64{0}) : random.chance(50) ? ~u64{7} : ~u64{0};
    u64 near = 1 + random.below(aligned || wide ? 40 : 15);
    u64 pick = random.below(100);
    if (pick < 72) return (kData + 64 + random.below(kDataSize - 700)) & align;
    if (pick < 79) return (kData + 0x1000 - near) & (random.chance(30) ? align : ~u64{0});
    if (pick < 84) return kReadOnly - near;
    if (pick < 87) return kReadOnly + random.below(0x800);
    if (pick < 89) return kReadOnly + kReadOnlySize - near;
    if (pick < 92) return kData - near;
    if (pick < 94) return 0x24000000 + random.below(0x10000);
    if (pick < 95) return kCode + 0x100 + random.below(0x800);
    if (pick < 97) return kStack + random.below(kStackSize);
    if (mode32) return pick < 98 ? 0xFFFFFFFF - random.below(16) : random();
    if (pick < 98) return 0x0000800000000000 - 8 + random.below(16);
    if (pick < 99) return 0xFFFF800000000000 - random.below(40) + random.below(40);
    return random();
}

TestCase derive_start_state(RandomSource& random, bool mode32, bool ymm, u16 selector32) {
    TestCase c;
    c.mode32 = mode32;
    c.state_seed = random.state();
    c.memory_seed = random();
    MachineState& s = c.start;
    for (unsigned i = 0; i < 16; ++i) {
        if (mode32 && i >= 8) continue;
        u64 value = random.chance(70)   ? random.integer()
                    : random.chance(70) ? kData + random.below(kDataSize - 64)
                                        : kCode + random.below(kCodeSize);
        s.gpr[i] = mode32 ? static_cast<u32>(value) : value;
    }
    s.gpr[kRsp] = kStack + 0x800 + random.below(0x400) * (random.chance(80) ? 1 : 0);
    if (random.chance(80)) s.gpr[kRsp] &= ~u64{7};
    if (random.chance(6))
        s.gpr[kRsp] = random.chance(50) ? kStack + random.below(16) : kStack + kStackSize - random.below(16);
    if (random.chance(2)) s.gpr[kRsp] = data_address(random, mode32, false, false, false);
    if (mode32) s.gpr[kRsp] = static_cast<u32>(s.gpr[kRsp]);
    s.flags = 0x202 | (random() & rflags::kArithmetic) | (random.chance(20) ? rflags::kDF : 0) |
              (random.chance(1) ? rflags::kAC : 0);
    s.cs = mode32 ? selector32 : 0x33;

    u16 control = static_cast<u16>((random() & 0xF00) | 0x7F), status = static_cast<u16>(random() & 0x7F3F);
    if (random.chance(50)) control |= 0x300;
    if (random.chance(6)) {
        control = static_cast<u16>(control & ~(random() & 0x3F));
        if (random.chance(70)) status &= static_cast<u16>(control | ~0x3F);  // mostly nothing pending
    }
    status = static_cast<u16>(status & ~0x8080);
    if (status & ~control & 0x3F) status |= 0x8080;
    u8 tags = static_cast<u8>(random());
    if (random.chance(60)) tags = static_cast<u8>(~(1u << (((status >> 11) - 1) & 7)));
    if (random.chance(10)) tags = 0xFF;
    u32 mxcsr = 0x1F80 | static_cast<u32>(random() & 0x603F) |
                (random.chance(75) ? 0 : static_cast<u32>(random() & 0x8040));
    if (random.chance(5)) mxcsr &= ~static_cast<u32>(random() & 0x1F80);
    memcpy(s.fx, &control, 2);
    memcpy(s.fx + 2, &status, 2);
    s.fx[4] = tags;
    memcpy(s.fx + 24, &mxcsr, 4);
    bool mmx = random.chance(30);
    for (unsigned i = 0; i < 8; ++i) {
        if (mmx)
            random.vector(s.fx + 32 + 16 * i, 8), s.fx[40 + 16 * i] = s.fx[41 + 16 * i] = 0xFF;
        else
            random.extended(s.fx + 32 + 16 * i);
    }
    for (unsigned i = 0; i < 16; ++i) random.vector(s.fx + 160 + 16 * i, 16);
    if (ymm)
        for (unsigned i = 0; i < 16; ++i) random.vector(s.ymm_high + 16 * i, 16);
    u64 place = random.below(kCodeSize - 200) + 100;
    if (random.chance(8)) place = 0x1000 - random.below(20);
    if (random.chance(3)) place = kCodeSize - random.below(20) - 1;
    c.code_offset = static_cast<unsigned>(place);
    s.rip = kCode + place;
    return c;
}

}  // namespace shadowbox::compare
