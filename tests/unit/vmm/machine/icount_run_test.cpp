// SPDX-License-Identifier: MIT
// A VM under icount with a firmware of a few instructions: guest time is the instructions it retires, HLT
// skips to the next timer, and two runs of the same seed are the same.
#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

struct Result {
    int status = 0;
    u64 retired = 0, hash = 0;
    GuestNs time = 0;
};

/// Runs `code`, with an interrupt handler at F000:0100, until it writes to port F4h.
Result run(std::vector<u8> code, u64 seed = 1, const std::vector<u8>& handler = {}) {
    code.resize(0x100, 0xF4);
    code.insert(code.end(), handler.begin(), handler.end());
    FirmwareHost machines(true, true, nullptr, seed);
    VmHandle vm = machines.add("icount", code, {}, kHostHasTranslator);
    Result result;
    // At the end, on the runner's thread, where the clock is exact.
    vm->set_observer([&](VmEvent event) {
        if (event == VmEvent::kEnded) result.time = vm->vm_clock().now();
    });
    spdlog::set_level(spdlog::level::off);
    machines.host->start_all();
    vm->resume();
    machines.host->wait_all();
    result.status = vm->exit_status();
    result.retired = vm->record().retired;
    result.hash = vm->record().memory_hash;
    machines.host.reset();  // joins the runner
    spdlog::set_level(spdlog::level::info);
    return result;
}

/// Points IRQ 0 (vector 8) at F000:0100, starts the PIT in mode 2 with 65536 counts (54.9 ms), and halts
/// `ticks` times.
std::vector<u8> halting(u8 ticks) {
    return {0x66, 0xB9, 0x1B, 0x00, 0x00, 0x00, 0x0F, 0x32, 0x80, 0xE4, 0xF7, 0x0F, 0x30,  // local APIC off:
                                                                                           // INTR goes
                                                                                           // straight in
            0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0, 0xBC, 0x00, 0x70,  // xor ax,ax; mov ds,ax; mov ss,ax; mov
                                                                   // sp,7000h
            0xC7, 0x06, 0x20, 0x00, 0x00, 0x01, 0xC7, 0x06, 0x22, 0x00, 0x00, 0xF0,  // vector 8
            0xB0, 0x11, 0xE6, 0x20, 0xB0, 0x08, 0xE6, 0x21, 0xB0, 0x04, 0xE6, 0x21, 0xB0, 0x01, 0xE6, 0x21,
            0xB0, 0xFE, 0xE6, 0x21,                                      // 8259
            0xB0, 0x34, 0xE6, 0x43, 0xB0, 0x00, 0xE6, 0x40, 0xE6, 0x40,  // PIT
            0xB9, ticks, 0x00, 0xFB,                                     // mov cx,ticks; sti
            0xF4, 0x49, 0x75, 0xFC,                                      // hlt; dec cx; jnz
            0xB0, 0x03, 0xE6, 0xF4, 0xF4};
}
const std::vector<u8> kEndOfInterrupt = {0x50, 0xB0, 0x20, 0xE6,
                                         0x20, 0x58, 0xCF};  // push ax; mov al,20h; out 20h,al; pop ax; iret

}  // namespace

TEST_CASE("icount: the guest retires exactly its instructions, and time is their number") {
    Result small = run(counting(1000)), large = run(counting(1'001'000));
    CHECK(small.status == 15);  // 7 written to the debug-exit port
    CHECK(large.status == 15);
    CHECK(large.retired - small.retired == 2'000'000);
    CHECK(large.time - small.time == 2'000'000);
}

TEST_CASE("icount: HLT skips to the timer; the host's time does not matter") {
    Result ten = run(halting(10), 1, kEndOfInterrupt), twenty = run(halting(20), 1, kEndOfInterrupt);
    CHECK(ten.status == 7);
    // Each tick: hlt, five of the handler's instructions, iret, dec, jnz... the same number, and 65536 PIT
    // counts of time.
    CHECK((twenty.retired - ten.retired) % 10 == 0);
    CHECK(twenty.retired - ten.retired < 200);
    u64 period = 65536ull * 1'000'000'000 / 1'193'182;
    CHECK(twenty.time - ten.time >= 10 * period - 1000);
    CHECK(twenty.time - ten.time <= 10 * period + 1000);
}

TEST_CASE("icount: the same seed gives the same run") {
    Result one = run(halting(30), 5, kEndOfInterrupt), two = run(halting(30), 5, kEndOfInterrupt);
    CHECK(one.retired == two.retired);
    CHECK(one.time == two.time);
    CHECK(one.hash == two.hash);
}
