// SPDX-License-Identifier: MIT
// 16-byte descriptors of LDT and TSS: what LLDT and LTR refuse (SDM 3A 7.2.3), and data segments at returns.
#include "cpu/access/segments.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

TEST_CASE("cpu: LLDT and LTR check the upper type field and the base of 16-byte descriptors") {
    constexpr u16 kSelector = 0x18;
    const std::vector<u8> lldt{0xB8, kSelector, 0, 0, 0, 0x0F, 0x00, 0xD0},
        ltr{0xB8, kSelector, 0, 0, 0, 0x0F, 0x00, 0xD8};
    for (bool tss : {false, true}) {
        for (u64 upper : {u64{0}, u64{0xFFFF8000}, u64{0x7FFF}, u64{0x8000}, u64{0x100'00000000},
                          u64{0x1000'00000000}, u64{0x2000'00000000}}) {
            INFO((tss ? "ltr " : "lldt ") << std::hex << upper);
            SimdMachine m;
            m.cpu->gdtr.limit = 0x27;
            m.put(0x4000 + kSelector, u64{0x0000800000000FFF} | u64{tss ? 9u : 2u} << 40);
            m.put(0x4008 + kSelector, upper);
            const bool good = upper != 0x8000 && !(upper >> 32 & 0x1F00);
            CHECK(m.run(tss ? ltr : lldt) == (good ? SimdMachine::kNoFault : 13));
            if (!good) CHECK(m.get<u64>(SimdMachine::kStack - 48) == kSelector);
        }
    }
}

TEST_CASE("cpu: a null selector keeps its base at a return to an outer level, a forbidden one does not") {
    SimdMachine m;
    m.cpu->cpl = 3;
    m.cpu->seg[kFs] = {3, 0xC093, 0xFFFFFFFF, 0x1234};  // null, whatever its attributes
    m.cpu->seg[kGs] = {0, 0, 0, 0x5678};
    m.cpu->seg[kDs] = {0x10, 0xC093, 0xFFFFFFFF, 0x9000};
    drop_inaccessible_segments(*m.cpu);
    CHECK(m.cpu->seg[kFs].base == 0x1234);
    CHECK(m.cpu->seg[kFs].selector == 0);
    CHECK_FALSE(m.cpu->seg[kFs].present());
    CHECK(m.cpu->seg[kGs].base == 0x5678);
    CHECK(m.cpu->seg[kDs].selector == 0);
    CHECK(m.cpu->seg[kDs].base == 0);
}
