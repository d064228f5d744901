// SPDX-License-Identifier: MIT
// A Host with guests whose whole software is a firmware of a few 16-bit instructions, and such firmwares.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox::test {

/// Waits until `ready()` holds; the test's own time limit ends a wait in vain.
template <class Ready>
void wait_until(Ready ready) {
    while (!ready()) std::this_thread::yield();
}

class FirmwareHost {
 public:
    explicit FirmwareHost(bool icount, bool attended = true, std::shared_ptr<Pager> pager = nullptr,
                          u64 seed = 1) {
        char name[] = "/tmp/shadowbox-test-XXXXXX";
        directory_ = mkdtemp(name);
        HostConfig config;
        config.icount = icount;
        config.seed = seed;
        config.attended = attended;
        config.pool_bytes = 64 << 20;
        auto created = Host::create(config, config.pool_bytes, std::move(pager));
        REQUIRE(created);
        host = std::move(*created);
    }
    ~FirmwareHost() {
        host.reset();
        std::filesystem::remove_all(directory_);
    }

    /// A guest of 1 MiB that runs `code` at F000:0000, its second vCPU (after start_second()) `second_code`.
    VmHandle add(const std::string& name, const std::vector<u8>& code,
                 const std::vector<u8>& second_code = {}, bool jit = false) {
        std::vector<u8> image(64 << 10, 0xF4);
        std::copy(code.begin(), code.end(), image.begin());
        std::copy(second_code.begin(), second_code.end(), image.begin() + 0x1000);
        const u8 reset[] = {0xEA, 0x00, 0x00, 0x00, 0xF0};  // jmp F000h:0
        std::copy(std::begin(reset), std::end(reset), image.begin() + 0xFFF0);
        std::string bios = directory_ / (name + ".bios");
        std::ofstream(bios, std::ios::binary)
            .write(reinterpret_cast<const char*>(image.data()), static_cast<long>(image.size()));
        MachineConfig config;
        config.name = name;
        config.memory_bytes = 1 << 20;
        config.vcpus = second_code.empty() ? 1 : 2;
        config.bios = bios;
        config.nic.present = false;
        config.jit = jit;
        config.debug_exit_port = 0xF4;
        config.start_paused = true;
        config.trust_group = trust_group;
        auto vm = host->add(config, {});
        INFO((vm ? "" : vm.error().text()));
        REQUIRE(vm);
        return *vm;
    }
    /// The same, started and running.
    VmHandle run(const std::string& name, const std::vector<u8>& code) {
        VmHandle vm = add(name, code);
        vm->start();
        vm->resume();
        return vm;
    }
    static void start_second(VirtualMachine& vm) {
        vm.vcpu(1).apic->post_init();
        vm.vcpu(1).apic->post_sipi(0xF1);
    }
    static u64 retired(VirtualMachine& vm) {
        u64 sum = 0;
        vm.while_stopped([&] {
            for (unsigned i = 0; i < vm.vcpu_count(); ++i) sum += vm.vcpu(i).retired;
        });
        return sum;
    }
    /// Returns when `vm` has gone on, far enough for a loop to have been through all of its memory.
    static void wait_for_progress(VirtualMachine& vm) {
        u64 before = retired(vm);
        wait_until([&] { return retired(vm) > before + 100; });
    }
    u64 in_use() { return host->pool().totals().in_use; }
    /// Leaves room for `pages` more.
    void leave_room(u64 pages) { REQUIRE(host->set_pool_bytes((in_use() + pages) * kPageSize)); }

    std::unique_ptr<Host> host;
    std::string trust_group;  ///< of the guests that are added from now on

 private:
    std::filesystem::path directory_;
};

/// xor ax,ax; mov ds,ax; loop: inc dword [500h]; jmp loop
inline std::vector<u8> spinning() {
    return {0x31, 0xC0, 0x8E, 0xD8, 0x66, 0xFF, 0x06, 0x00, 0x05, 0xEB, 0xF9};
}

/// Writes a byte into each page from segment `first` up to `end` (multiples of 100h), then loops for ever, or
/// writes `exit` to the debug-exit port.
inline std::vector<u8> touching(u16 first, u16 end, int exit = -1) {
    auto low = [](u16 word) { return static_cast<u8>(word); };
    auto high = [](u16 word) { return static_cast<u8>(word >> 8); };
    std::vector<u8> code = {0xBB, low(first), high(first),                   // mov bx, first
                            0x8E, 0xC3,                                      // loop: mov es, bx
                            0x26, 0x88,       0x3E,        0x00,      0x00,  // mov [es:0], bh
                            0x81, 0xC3,       0x00,        0x01,             // add bx, 100h
                            0x81, 0xFB,       low(end),    high(end),        // cmp bx, end
                            0x72, 0xEF};                                     // jb loop
    if (exit >= 0) code.insert(code.end(), {0xB0, static_cast<u8>(exit), 0xE6, 0xF4, 0xF4});
    code.insert(code.end(), {0xEB, 0xFE});
    return code;
}
constexpr u16 kFirstSegment = 0x1000, kEndSegment = 0x9000;  // 128 pages

/// mov ecx, count; loop: dec ecx; jnz loop; mov al, 7; out F4h, al
inline std::vector<u8> counting(u32 count) {
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

}  // namespace shadowbox::test
