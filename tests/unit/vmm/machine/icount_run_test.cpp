// SPDX-License-Identifier: MIT
// A VM under icount with a firmware of a few instructions: guest time is the instructions it retires, HLT
// skips to the next timer, and two runs of the same seed are the same.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/log.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

using namespace shadowbox;

namespace {

struct Result {
    int status = 0;
    u64 retired = 0, hash = 0;
    GuestNs time = 0;
};

/// Runs a firmware whose reset vector jumps to `code` (16-bit, at F000:0000) until it writes to port F4h.
Result run(const std::vector<u8>& code, u64 seed = 1, const std::vector<u8>& handler = {}) {
    std::vector<u8> image(64 << 10, 0xF4);
    std::copy(code.begin(), code.end(), image.begin());
    std::copy(handler.begin(), handler.end(), image.begin() + 0x100);
    const u8 reset[] = {0xEA, 0x00, 0x00, 0x00, 0xF0};
    std::copy(std::begin(reset), std::end(reset), image.begin() + 0xFFF0);
    char name[] = "/tmp/shadowbox-test-XXXXXX";
    std::filesystem::path directory = mkdtemp(name);
    std::ofstream(directory / "bios", std::ios::binary)
        .write(reinterpret_cast<const char*>(image.data()), static_cast<long>(image.size()));
    HostConfig host_config;
    host_config.icount = true;
    host_config.seed = seed;
    auto host = Host::create(host_config, 8 << 20);
    REQUIRE(host);
    MachineConfig config;
    config.name = "icount";
    config.memory_bytes = 8 << 20;
    config.bios = directory / "bios";
    config.nic.present = false;
    config.debug_exit_port = 0xF4;
    auto vm = (*host)->add(config, {});
    INFO((vm ? "" : vm.error().text()));
    REQUIRE(vm);
    Result result;
    VirtualMachine& machine = **vm;
    // At the end, on the runner's thread, where the clock is exact.
    machine.set_observer([&](VmEvent event) {
        if (event == VmEvent::kEnded) result.time = machine.vm_clock().now();
    });
    spdlog::set_level(spdlog::level::off);
    (*host)->start_all();
    (*host)->wait_all();
    result.status = machine.exit_status();
    result.retired = machine.record().retired;
    result.hash = machine.record().memory_hash;
    host->reset();  // joins the runner
    spdlog::set_level(spdlog::level::info);
    std::filesystem::remove_all(directory);
    return result;
}

/// mov ecx, count; loop: dec ecx; jnz loop; mov al, 7; out F4h, al
std::vector<u8> counting(u32 count) {
    return {0x66,
            0xB9,
            static_cast<u8>(count),
            static_cast<u8>(count >> 8),
            static_cast<u8>(count >> 16),
            static_cast<u8>(count >> 24),
            0x66,
            0x49,
            0x75,
            0xFC,
            0xB0,
            0x07,
            0xE6,
            0xF4,
            0xF4};
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
