// SPDX-License-Identifier: MIT
// A device waits for a page, the pool is full, and everybody wants something of the machine: nothing hangs,
// and all goes on when the page and room come.
#include <condition_variable>
#include <cstdio>

#include "devices/display/vga_memory.h"
#include "mmu/remap.h"
#include "tests/shelf_pager.h"
#include "tests/unit/vmm/firmware_host.h"
#include "ui/control/guest_input.h"
#include "ui/display/pool_table.h"
#include "ui/monitor/monitor.h"
#include "ui/monitor/qmp.h"
#include "vmm/memory/memory_policies.h"
#include "vmm/screen/screen.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

/// What hangs is no failed check but a test that never ends: this ends it.
class Deadline {
 public:
    explicit Deadline(std::chrono::seconds time)
        : thread_([this, time](std::stop_token stop) {
              std::unique_lock lock(mutex_);
              if (changed_.wait_for(lock, stop, time, [] { return false; }) || stop.stop_requested()) return;
              std::fputs("page_away_test: something hangs\n", stderr);
              std::abort();
          }) {}

 private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::jthread thread_;
};

/// For ever: four bytes of fw_cfg by DMA to 5000h, then the dword at 500h is counted.
std::vector<u8> reading_fw_cfg() {
    return {0x31, 0xC0, 0x8E, 0xD8,  // xor ax, ax; mov ds, ax
            0x66, 0xC7, 0x06, 0x04, 0x06, 0x00, 0x00, 0x00,
            0x04,  // mov dword [604h], 04000000h: 4 bytes
            0x66, 0xC7, 0x06, 0x08, 0x06, 0x00, 0x00, 0x00,
            0x00,  // mov dword [608h], 0
            0x66, 0xC7, 0x06, 0x0C, 0x06, 0x00, 0x00, 0x50,
            0x00,  // mov dword [60Ch], 00500000h: to 5000h
            0x66, 0xC7, 0x06, 0x00, 0x06, 0x00, 0x00, 0x00,
            0x0A,  // loop: mov dword [600h], 0A000000h: select, read
            0xBA, 0x14, 0x05, 0x66, 0x31, 0xC0, 0x66, 0xEF,  // mov dx, 514h; xor eax, eax; out dx, eax
            0xBA, 0x18, 0x05, 0x66, 0xB8, 0x00, 0x00, 0x06,
            0x00,                                            // mov dx, 518h; mov eax, 60000h
            0x66, 0xEF,                                      // out dx, eax
            0x66, 0x83, 0x3E, 0x00, 0x06, 0x00, 0x75, 0xF8,  // wait: cmp dword [600h], 0; jne wait
            0x66, 0xFF, 0x06, 0x00, 0x05, 0xEB, 0xD5};       // inc dword [500h]; jmp loop
}
constexpr u64 kTarget = 0x5000, kCounter = 0x500;

u32 counted(VirtualMachine& vm) {
    u32 count = 0;
    vm.memory().peek(Gpa(kCounter), std::span(reinterpret_cast<u8*>(&count), sizeof count));
    return count;
}

/// Takes the page away as soon as nobody uses it.
void take_away(VirtualMachine& vm, ShelfPager& pager, Ppn ppn) {
    RemapResult result = RemapResult::kPending;
    while (result != RemapResult::kDone) {
        RemapBatch batch;
        const RemapOperation& eviction = batch.evict(
            vm.memory(), ppn,
            [&](std::span<const u8, kPageSize> content) { return std::optional(pager.put(content.data())); });
        batch.run();
        result = eviction.result();
    }
}

struct Process final : ProcessControl {
    explicit Process(FirmwareHost& machines, VirtualMachine& vm)
        : machines(machines), policies_(*machines.host), input_(vm) {}
    Host& host() override { return *machines.host; }
    MemoryPolicies& policies() override { return policies_; }
    GuestInput& input(VmId) override { return input_; }
    ScreenSource* screen(VmId) override { return machines.host->vms()[0]->screen(); }
    void quit() override {}
    FirmwareHost& machines;
    MemoryPolicies policies_;
    GuestInput input_;
};

void look_at_everything(Process& process) {
    Monitor monitor(process);
    for (const MonitorCommand& command : info_commands()) {
        const std::string name = std::string(command.names) + (command.fewest ? " 5" : "");
        CAPTURE(name);
        CHECK(monitor.execute("info " + name) != "");
    }
    CHECK(monitor.execute("xp /4xb 0x5000") != "");
    CHECK(monitor.execute("x /4xb 0x5000") != "");
    CHECK(monitor.execute("pmemsave 0x4000 0x4000 /dev/null") == "");
    CHECK(monitor.execute("screendump /dev/null") == "");
    CHECK(pool_table_text(process.host()) != "");
    ScreenImage picture;
    process.screen(VmId(1))->render(picture);  // as the window does
    std::vector<std::string> lines;
    QmpConnection qmp(process, [&](const std::string& line) { lines.push_back(line); });
    qmp.connected();
    qmp.feed(R"({"execute":"qmp_capabilities"} {"execute":"query-status"} {"execute":"query-cpus-fast"})");
    CHECK(lines.size() == 4);
}

/// Waits for the byte at 504h, then for ever: a byte into all planes at A0000h and back, and the dword at
/// 500h is counted as long as they agree.
std::vector<u8> drawing() {
    return {0x31, 0xC0, 0x8E, 0xD8,        // xor ax, ax; mov ds, ax
            0xBA, 0xC4, 0x03,              // mov dx, 3C4h
            0xB8, 0x02, 0x0F, 0xEF,        // mov ax, 0F02h; out dx, ax: all planes
            0xB8, 0x00, 0xA0, 0x8E, 0xC0,  // mov ax, A000h; mov es, ax
            0x80, 0x3E, 0x04, 0x05, 0x00,  // wait: cmp byte [504h], 0
            0x74, 0xF9,                    // je wait
            0xFE, 0xC1,                    // loop: inc cl
            0x26, 0x88, 0x0E, 0x10, 0x00,  // mov [es:10h], cl
            0x26, 0x3A, 0x0E, 0x10, 0x00,  // cmp cl, [es:10h]
            0x75, 0x07,                    // jne end
            0x66, 0xFF, 0x06, 0x00, 0x05,  // inc dword [500h]
            0xEB, 0xEB,                    // jmp loop
            0xF4, 0xEB, 0xFD};             // end: hlt; jmp end
}

}  // namespace

TEST_CASE("page away: pause, reset, views, QMP and the window while a device waits and the pool is full") {
    for (bool icount : {false, true}) {
        CAPTURE(icount);
        Deadline deadline(std::chrono::seconds(120));
        auto pager = std::make_shared<ShelfPager>();
        FirmwareHost machines(icount, true, pager);
        VmHandle vm = machines.run("waits", reading_fw_cfg());
        wait_until([&] { return counted(*vm) > 10; });
        Process process(machines, *vm);
        pager->hold();
        take_away(*vm, *pager, Gpa(kTarget).ppn());
        wait_until([&] { return pager->wanted(); });
        machines.leave_room(0);

        look_at_everything(process);
        const u32 stands = counted(*vm);
        vm->pause();
        look_at_everything(process);
        vm->resume();
        CHECK(counted(*vm) == stands);
        vm->reset();  // and the guest begins again, to find its page still away
        look_at_everything(process);
        vm->pause();
        vm->reset();
        look_at_everything(process);
        vm->resume();

        machines.leave_room(64);
        pager->let_go();
        wait_until([&] { return counted(*vm) > stands + 10; });
        vm->pause();
    }
}

TEST_CASE("page away: a vCPU waits for display memory behind the window without the device lock") {
    for (bool icount : {false, true}) {
        CAPTURE(icount);
        Deadline deadline(std::chrono::seconds(120));
        auto pager = std::make_shared<ShelfPager>();
        FirmwareHost machines(icount, true, pager);
        VmHandle vm = machines.run("draws", drawing());
        Process process(machines, *vm);
        const u8 pixels[] = {1, 2, 3, 4};
        REQUIRE(vm->memory().write(start_of(VgaMemory::kParked), pixels));
        pager->hold();
        take_away(*vm, *pager, VgaMemory::kParked);
        const u8 go = 1;
        REQUIRE(vm->memory().write(Gpa(0x504), std::span(&go, 1)));
        wait_until([&] { return pager->wanted(); });
        look_at_everything(process);
        vm->pause();
        look_at_everything(process);
        CHECK(counted(*vm) == 0);
        vm->resume();
        pager->let_go();
        wait_until([&] { return counted(*vm) > 1000; });
        vm->pause();
        u8 kept[4];
        vm->memory().peek(start_of(VgaMemory::kParked), kept);
        CHECK(std::equal(std::begin(kept), std::end(kept), pixels));
    }
}

TEST_CASE("page away: no pixel is lost where the pool has no room for display memory") {
    Deadline deadline(std::chrono::seconds(120));
    FirmwareHost machines(false);
    VmHandle vm = machines.run("draws", drawing());
    FirmwareHost::wait_for_progress(*vm);
    const u8 stay = 0, go = 1;
    REQUIRE(vm->memory().write(Gpa(0x504), std::span(&stay, 1)));
    machines.leave_room(0);
    REQUIRE(vm->memory().write(Gpa(0x504), std::span(&go, 1)));
    wait_until([&] { return vm->state() == VmState::kBlocked; });
    CHECK(counted(*vm) == 0);
    machines.leave_room(VgaMemory::kWindowPages + 8);
    vm->resume();
    wait_until([&] { return counted(*vm) > 1000; });  // the guest stops where a pixel is not what it wrote
}
