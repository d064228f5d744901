// SPDX-License-Identifier: MIT
// A vCPU in HLT is a thread asleep outside the gate; pauses, views, exclusive work and resets call it out.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/log.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

using namespace shadowbox;

namespace {

constexpr int kPassedHlt = 1 << 1 | 1,
              kNmiCame = 0x10 << 1 | 1;  // as the debug-exit port reports what is written

/// A firmware that points the NMI at a handler and halts. Whatever comes behind the HLT reports 1, the
/// handler 10H.
std::vector<u8> halting_firmware() {
    std::vector<u8> image(64 << 10, 0xF4);
    const u8 start[] = {0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0,
                        0xBC, 0x00, 0x70,                    // xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7000h
                        0xC7, 0x06, 0x08, 0x00, 0x00, 0x01,  // mov word [8], 100h
                        0xC7, 0x06, 0x0A, 0x00, 0x00, 0xF0,  // mov word [10], F000h
                        0xF4, 0xB0, 0x01, 0xE6, 0xF4};       // hlt; mov al,1; out F4h,al
    const u8 handler[] = {0xB0, 0x10, 0xE6, 0xF4, 0xF4};     // mov al,10h; out F4h,al; hlt
    const u8 reset[] = {0xEA, 0x00, 0x00, 0x00, 0xF0};       // jmp F000h:0
    std::copy(std::begin(start), std::end(start), image.begin());
    std::copy(std::begin(handler), std::end(handler), image.begin() + 0x100);
    std::copy(std::begin(reset), std::end(reset), image.begin() + 0xFFF0);
    return image;
}
constexpr u64 kRipBehindHlt = 22;

struct HaltingMachine {
    HaltingMachine() {
        char name[] = "/tmp/shadowbox-test-XXXXXX";
        directory = mkdtemp(name);
        std::string bios = directory / "bios";
        std::vector<u8> image = halting_firmware();
        std::ofstream(bios, std::ios::binary)
            .write(reinterpret_cast<const char*>(image.data()), static_cast<long>(image.size()));
        MachineConfig config;
        config.name = "halting";
        config.memory_bytes = 16 << 20;
        config.vcpus = 2;  // the second waits for SIPI all the time
        config.bios = bios;
        config.nic.present = false;
        config.debug_exit_port = 0xF4;
        auto created = Host::create({}, config.memory_bytes);
        REQUIRE(created);
        host = std::move(*created);
        auto added = host->add(config, {});
        REQUIRE(added);
        vm = *added;
        vm->set_observer([this](VmEvent event) {
            if (event == VmEvent::kReset) ++resets;
        });
        host->start_all();
    }
    ~HaltingMachine() {
        host.reset();
        std::filesystem::remove_all(directory);
    }
    /// Waits until `ready` holds; the test's own time limit ends a wait in vain.
    template <class Ready>
    void wait_until(Ready ready) {
        while (!ready()) std::this_thread::yield();
    }
    struct Seen {
        bool halted;
        u64 rip, retired;
    };
    Seen look() {
        Seen seen{};
        vm->while_stopped([&] { seen = {vm->vcpu(0).halted, vm->vcpu(0).rip, vm->vcpu(0).retired}; });
        return seen;
    }
    void wait_for_halt() {
        wait_until([this] { return look().halted || vm->state() != VmState::kRunning; });
        REQUIRE(vm->state() == VmState::kRunning);
    }

    std::filesystem::path directory;
    std::unique_ptr<Host> host;
    VmHandle vm;
    std::atomic<int> resets{0};
};

}  // namespace

TEST_CASE("vm: a halted vCPU called out for a pause stays halted") {
    HaltingMachine machine;
    machine.wait_for_halt();
    HaltingMachine::Seen before = machine.look();
    CHECK(before.rip == kRipBehindHlt);
    for (int round = 1; round <= 20; ++round) {
        machine.vm->pause();
        machine.vm->resume();
        std::atomic<bool> done{false};
        machine.vm->run_exclusive([&] { done = true; });
        machine.wait_until([&] { return done || machine.vm->state() != VmState::kRunning; });
    }
    HaltingMachine::Seen after = machine.look();
    CHECK(machine.vm->state() == VmState::kRunning);
    CHECK(after.halted);
    CHECK(after.rip == before.rip);
    CHECK(after.retired == before.retired);
    machine.vm->vcpu(0).post_nmi();
    machine.host->wait_all();
    CHECK(machine.vm->exit_status() == kNmiCame);
    CHECK(machine.vm->exit_status() != kPassedHlt);
}

TEST_CASE("vm: a reset starts a halted vCPU again, also when it comes with the HLT") {
    HaltingMachine machine;
    for (int round = 1; round <= 20; ++round) {
        if (round % 2) machine.wait_for_halt();
        u64 before = machine.look().retired;
        machine.vm->reset();
        machine.wait_until([&] { return machine.resets == round; });
        machine.wait_until([&] { return machine.look().retired > before; });
    }
    machine.wait_for_halt();
    CHECK(machine.look().rip == kRipBehindHlt);
}
