// SPDX-License-Identifier: MIT
// Timer ticks that came while the host kept a vCPU from running are given to the guest afterwards.
#include "vmm/machine/late_ticks.h"

#include "mmu/zero_fill_pager.h"
#include "tests/unit/vmm/firmware_host.h"
#include "vmm/machine/board.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

constexpr Ppn kHeldPage{0x50};
constexpr i64 kHeldTicks = 100, kFewTicks = kHeldTicks / 10;
constexpr Gpa kCounter{0x500}, kSegmentToRead{0x504}, kInterruptsOff{0x506};

/// Whoever touches kHeldPage first waits for open().
class HeldPager final : public ZeroFillPager {
 public:
    PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override {
        if (ppn == kHeldPage && !open_) {
            wanted_ = true;
            return PageOutcome::kWait;
        }
        return ZeroFillPager::make_resident(memory, ppn, access);
    }
    bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) override {
        while (ppn == kHeldPage && !open_ && !cancel.stop_requested()) std::this_thread::yield();
        return ZeroFillPager::wait_resident(memory, ppn, access, cancel);
    }
    bool wanted() const { return wanted_; }
    void open() { open_ = true; }

 private:
    std::atomic<bool> open_{false}, wanted_{false};
};

std::vector<u8> operator+(std::vector<u8> first, const std::vector<u8>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

/// ds = ss = 0, and `vector` leads to F000:0100.
std::vector<u8> begin(u8 vector) {
    const u8 at = static_cast<u8>(vector * 4), above = static_cast<u8>(at + 2);
    return {0x31, 0xC0, 0x8E,  0xD8, 0x8E, 0xD0,
            0xBC, 0x00, 0x70,                      // xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7000h
            0xC7, 0x06, at,    0x00, 0x00, 0x01,   // mov word [at], 100h
            0xC7, 0x06, above, 0x00, 0x00, 0xF0};  // mov word [above], F000h
}
std::vector<u8> out(u8 port, u8 value) { return {0xB0, value, 0xE6, port}; }
/// mov ecx, msr; mov eax, value; xor edx, edx; wrmsr
std::vector<u8> write_msr(u16 msr, u32 value) {
    auto byte = [](u32 word, unsigned i) { return static_cast<u8>(word >> 8 * i); };
    return {
        0x66,           0xB9,           byte(msr, 0),   byte(msr, 1), 0,    0,    0x66, 0xB8, byte(value, 0),
        byte(value, 1), byte(value, 2), byte(value, 3), 0x66,         0x31, 0xD2, 0x0F, 0x30};
}

/// The set-up, then for ever: a byte of the page of segment [504h] is read; while [506h] is not 0, interrupts
/// are off. The handler counts at [500h] and ends with `eoi`.
std::vector<u8> counting_ticks(const std::vector<u8>& set_up, const std::vector<u8>& eoi) {
    std::vector<u8> code = set_up + std::vector<u8>{0xFB,                          // sti
                                                    0x8E, 0x06, 0x04, 0x05,        // loop: mov es, [504h]
                                                    0x26, 0xA0, 0x00, 0x00,        // mov al, [es:0]
                                                    0x80, 0x3E, 0x06, 0x05, 0x00,  // cmp byte [506h], 0
                                                    0x74, 0xF1,                    // je loop
                                                    0xFA,                          // cli
                                                    0x80, 0x3E, 0x06, 0x05, 0x00,  // off: cmp byte [506h], 0
                                                    0x75, 0xF9,                    // jne off
                                                    0xFB,                          // sti
                                                    0xEB, 0xE6};                   // jmp loop
    REQUIRE(code.size() <= 0x100);
    code.resize(0x100);
    return code + std::vector<u8>{0x66, 0xFF, 0x06, 0x00, 0x05} + eoi + std::vector<u8>{0xCF};
}

std::vector<u8> x2apic() { return write_msr(0x1B, 0xFEE00D00) + write_msr(0x80F, 0x1FF); }
/// A thousand times a second, by the PIC and LINT0 as ExtINT.
std::vector<u8> counting_pit_ticks() {
    return counting_ticks(begin(8) + x2apic() + write_msr(0x835, 0x700) + out(0x20, 0x11) + out(0x21, 0x08) +
                              out(0x21, 0x04) + out(0x21, 0x01) + out(0x21, 0xFE) + out(0x43, 0x34) +
                              out(0x40, 0xA9) + out(0x40, 0x04),
                          out(0x20, 0x20));
}
/// The same, by the local APIC's periodic timer in x2APIC mode.
std::vector<u8> counting_apic_ticks() {
    return counting_ticks(begin(0x20) + x2apic() + write_msr(0x83E, 0xB) + write_msr(0x832, 0x20020) +
                              write_msr(0x838, 1'000'000),
                          write_msr(0x80B, 0));
}

u32 counted(VirtualMachine& vm) {
    u32 count = 0;
    vm.memory().peek(kCounter, std::span(reinterpret_cast<u8*>(&count), sizeof count));
    return count;
}
void poke(VirtualMachine& vm, Gpa at, u16 value) {
    const u8 bytes[] = {static_cast<u8>(value), static_cast<u8>(value >> 8)};
    REQUIRE(vm.memory().write(at, bytes));
}

/// Ticks that should have been less ticks that were. A busy host adds some of its own: a vCPU that is kept
/// off the CPU while a tick waits loses the next, which nothing tells from one that came after the first was
/// taken.
i64 lag(VirtualMachine& vm, bool apic) {
    i64 result = 0;
    vm.while_stopped([&] {
        const u64 due = apic ? vm.clock().now() / 1'000'000 : vm.board().pit.ticks_due();
        result = static_cast<i64>(due) - counted(vm);
    });
    return result;
}

}  // namespace

namespace {

/// What `lag` is after the vCPU waited kHeldTicks for a page, less what it was before, once it is small or
/// after kPatience of guest time. Looked at now and then: each look stops the guest, which gets one tick a
/// slice.
i64 lag_of_a_wait(bool apic) {
    constexpr GuestNs kPatience = 10'000'000'000, kBetweenLooks = 5'000'000;
    auto pager = std::make_shared<HeldPager>();
    FirmwareHost machines(false, true, pager);
    VmHandle vm = machines.run("ticks", apic ? counting_apic_ticks() : counting_pit_ticks());
    auto pass = [&](GuestNs time) {
        wait_until([&, end = vm->clock().now() + time] { return vm->clock().now() > end; });
    };
    wait_until([&] { return counted(*vm) > 10; });
    const i64 before = lag(*vm, apic);
    poke(*vm, kSegmentToRead, 0x5000);
    wait_until([&] { return pager->wanted(); });
    pass(kHeldTicks * 1'000'000);
    pager->open();
    const GuestNs end = vm->clock().now() + kPatience;
    i64 now;
    do {
        pass(kBetweenLooks);
        now = lag(*vm, apic) - before;
    } while (now > kFewTicks && vm->clock().now() < end);
    return now;
}

}  // namespace

// A host that runs none of this process for a second (a machine that is paused itself) makes the guest lose
// what is above TickDebt::kMost: then once more.
TEST_CASE("late ticks: those of the time that a vCPU was kept from running are made up for") {
    for (bool apic : {false, true}) {
        i64 lag = kHeldTicks;
        for (unsigned attempt = 0; attempt < 3 && lag > kFewTicks; ++attempt) lag = lag_of_a_wait(apic);
        CAPTURE(apic, lag);
        CHECK(std::abs(lag) <= kFewTicks);
    }
}

TEST_CASE("late ticks: those that a guest lost with interrupts off stay lost") {
    FirmwareHost machines(false);
    VmHandle vm = machines.run("deaf", counting_pit_ticks());
    wait_until([&] { return counted(*vm) > 10; });
    poke(*vm, kInterruptsOff, 1);
    const u64 due = vm->board().pit.ticks_due();
    wait_until([&] { return vm->board().pit.ticks_due() > due + 200; });
    poke(*vm, kInterruptsOff, 0);
    const u32 count = counted(*vm);
    wait_until([&] { return counted(*vm) > count + 20; });
    CHECK(lag(*vm, false) > 2);  // a busy host makes up for those that it was late for
}

TEST_CASE("late ticks: debts are bounded in number and in time") {
    TickDebt debt;
    CHECK_FALSE(debt.any(0));
    debt.owe(5000, 0);
    CHECK(debt.owed() == TickDebt::kMost);
    debt.paid();
    CHECK(debt.owed() == TickDebt::kMost - 1);
    CHECK(debt.any(TickDebt::kForgotten));
    debt.owe(0, TickDebt::kForgotten);
    CHECK_FALSE(debt.any(TickDebt::kForgotten + 1));
    CHECK(debt.owed() == 0);
}
