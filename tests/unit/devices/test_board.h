// SPDX-License-Identifier: MIT
// What device tests share: a clock moved by hand, a little guest memory, backends that record, and a board
// with all legacy chips wired as vmm/ wires them. No test cases here.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "devices/bus/io_bus.h"
#include "devices/bus/layout.h"
#include "devices/chipset/acpi_pm.h"
#include "devices/chipset/debug_ports.h"
#include "devices/chipset/dma8237.h"
#include "devices/chipset/fw_cfg.h"
#include "devices/chipset/system_control.h"
#include "devices/input/i8042.h"
#include "devices/interrupts/irq_router.h"
#include "devices/serial/serial16550.h"
#include "devices/storage/floppy82077.h"
#include "devices/timers/hpet.h"
#include "devices/timers/pit8254.h"
#include "devices/timers/rtc_cmos.h"
#include "mmu/guest_memory.h"
#include "mmu/zero_fill_pager.h"

namespace shadowbox::test {

class ManualClock final : public GuestClock {
 public:
    GuestNs now() const override { return std::exchange(now_, now_ + step_); }
    u64 wall_base_seconds() const override { return 1'700'000'000; }  // 2023-11-14 22:13:20 UTC, a Tuesday
    mutable GuestNs now_ = 0;
    GuestNs step_ = 0;  ///< that passes with each look at the clock
};

/// No log lines about odd guests while it lives.
struct Quiet {
    Quiet() { spdlog::set_level(spdlog::level::off); }
    ~Quiet() { spdlog::set_level(spdlog::level::info); }
};

/// Clock and timers; run_to() stops at every deadline on the way, as icount does.
struct Time {
    ManualClock clock;
    TimerQueue timers{clock};
    void run_to(GuestNs end) {
        while (timers.next_deadline() <= end) {
            clock.now_ = std::max(clock.now_, timers.next_deadline());
            timers.run_due(clock.now_);
        }
        clock.now_ = end;
    }
    void advance(GuestNs ns) { run_to(clock.now_ + ns); }
    /// As a host that was late: nothing ran until `end`.
    void jump_to(GuestNs end) {
        clock.now_ = end;
        timers.run_due(end);
    }
};

struct Memory {
    static constexpr u64 kPages = 1024;
    std::unique_ptr<MachinePool> pool = std::move(*MachinePool::create(2 * kPages, 8 * kPages));
    ZeroFillPager pager;
    GuestMemory guest{*pool, pager, VmId(1)};
    Memory() { guest.map_ram(Ppn(0), kPages); }

    template <class T>
    void put(u64 where, T value) {
        guest.write(Gpa(where), std::span(reinterpret_cast<const u8*>(&value), sizeof value));
    }
    template <class T>
    T get(u64 where) {
        T value{};
        guest.read(Gpa(where), std::span(reinterpret_cast<u8*>(&value), sizeof value));
        return value;
    }
};

/// A line that records its level and counts rising edges.
struct Wire {
    bool level = false;
    unsigned rises = 0;
    IrqLine line() {
        return IrqLine([this](bool asserted) {
            if (asserted && !level) ++rises;
            level = asserted;
        });
    }
};

struct RecordingSink final : ApicMessageSink {
    std::vector<ApicMessage> messages;
    void deliver(const ApicMessage& message) override { messages.push_back(message); }
};

struct RecordingChar final : CharBackend {
    std::string written;
    unsigned ready_calls = 0;
    void write(std::span<const u8> bytes) override { written.append(bytes.begin(), bytes.end()); }
    void receiver_ready() override { ++ready_calls; }
    void type(const std::string& text) {
        std::vector<u8> bytes(text.begin(), text.end());
        receiver_->receive(bytes);
    }
};

/// A disk in memory whose requests complete at once, or by complete() when `deferred`.
struct MemoryDisk final : BlockBackend {
    using BlockBackend::read;
    using BlockBackend::write;
    explicit MemoryDisk(std::size_t bytes) : content(bytes) {}
    u64 size_bytes() const override { return content.size(); }
    bool read_only() const override { return protect; }
    void read(u64 offset, Pieces to, Completion done) override {
        run(
            [this, offset, to] {
                u64 at = offset;
                for (const BlockPiece& part : to) {
                    const std::span<u8> piece = part.bytes;
                    if (at + piece.size() > content.size()) return IoStatus::kError;
                    std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(at), piece.size(),
                                piece.begin());
                    at += piece.size();
                }
                return fail ? IoStatus::kError : IoStatus::kOk;
            },
            std::move(done));
    }
    void write(u64 offset, Pieces from, Completion done) override {
        run(
            [this, offset, from] {
                u64 at = offset;
                if (protect) return IoStatus::kReadOnly;
                for (const BlockPiece& part : from) {
                    const std::span<u8> piece = part.bytes;
                    if (at + piece.size() > content.size()) return IoStatus::kError;
                    std::copy(piece.begin(), piece.end(), content.begin() + static_cast<std::ptrdiff_t>(at));
                    at += piece.size();
                }
                return fail ? IoStatus::kError : IoStatus::kOk;
            },
            std::move(done));
    }
    void flush(Completion done) override { done(IoStatus::kOk); }
    /// Runs every request that waits.
    void complete() {
        while (!waiting.empty()) {
            auto job = std::move(waiting.front());
            waiting.pop_front();
            job();
        }
    }
    std::vector<u8> content;
    bool deferred = false, protect = false, fail = false;

 private:
    template <class Work>
    void run(Work work, Completion done) {
        auto job = [work, done = std::move(done)] { done(work()); };
        if (deferred)
            waiting.push_back(job);
        else
            job();
    }
    std::deque<std::function<void()>> waiting;
};

/// Every chip of this folder's legacy half, on its buses.
struct Board {
    Time time;
    Memory memory;
    RecordingSink sink;
    RecordingChar terminal;
    MemoryDisk disk{1474560};
    bool intr = false, a20 = true;
    unsigned resets = 0, power_offs = 0;
    int exit_status = -1;
    std::vector<std::string> log;

    PortBus ports;
    MmioBus mmio;
    Pic8259Pair pic{[this](bool level) { intr = level; }};
    IoApic ioapic{sink};
    IrqRouter router{pic, ioapic};
    Pit8254 pit{time.timers, router.isa_line(layout::kIrqPit)};
    RtcCmos rtc{time.timers, router.isa_line(layout::kIrqRtc)};
    Hpet hpet{time.timers, router.isa_line(layout::kIrqPit), router.isa_line(layout::kIrqRtc),
              [this](unsigned gsi) { return router.gsi_line(gsi); },
              [this](bool legacy) {
                  pit.set_irq_enabled(!legacy);
                  rtc.set_irq_enabled(!legacy);
              }};
    AcpiPm acpi{time.timers, router.isa_line(layout::kIrqSci), [this] { ++power_offs; }};
    Serial16550 serial{"serial0", time.timers, router.isa_line(layout::kIrqSerial0), &terminal};
    A20Gate gate{[this](bool enabled) { a20 = enabled; }};
    SystemControl control{gate, [this] { ++resets; }};
    I8042 i8042{time.timers, router.isa_line(layout::kIrqKeyboard), router.isa_line(layout::kIrqMouse), gate,
                [this] { ++resets; }};
    Dma8237 dma{memory.guest};
    Floppy82077 floppy{dma, router.isa_line(layout::kIrqFloppy)};
    DebugPorts debug{[this](const std::string& line) { log.push_back(line); },
                     [this](int s) { exit_status = s; }};
    FwCfg fw_cfg{memory.guest};
    std::vector<Device*> devices{&pic,    &ioapic,  &router, &pit, &rtc,    &hpet,  &acpi,
                                 &serial, &control, &i8042,  &dma, &floppy, &debug, &fw_cfg};

    Board() {
        using namespace layout;
        floppy.insert(0, &disk);
        fw_cfg.add_file("etc/test", {1, 2, 3, 4, 5});
        add(kDma1, dma.low_ports());
        add(kPicMaster, pic.master_ports());
        add(kPit, pit);
        add(kKeyboardData, i8042.data_port());
        add(kPortB, pit.port_b());
        add(kKeyboardCommand, i8042.command_port());
        add(kRtc, rtc);
        add(kPost, debug.post_code());
        add(kDmaPages, dma.page_ports());
        add(kSystemControlA, control.port_92());
        add(kPicSlave, pic.slave_ports());
        add(kApmControl, acpi.apm_ports());
        add(kDma2, dma.high_ports());
        add(kDebugExit, debug.exit_device());
        add(kFloppy, floppy.ports());
        add(kFloppyDirection, floppy.direction_port());
        add(kSerial0, serial);
        add(kDebugConsole, debug.console());
        add(kElcr, pic.elcr_ports());
        add(kFwCfg, fw_cfg.ports());
        add(kFwCfgDma, fw_cfg.dma_ports());
        add(kAcpiPm, acpi.pm_ports());
        add(PortRange{0x0CF9, 1}, control.reset_control());
        add(kGpe0, acpi.gpe_ports());
        mmio.add(Gpa(kIoApic.first), kIoApic.size, ioapic, "ioapic");
        mmio.add(Gpa(kHpet.first), kHpet.size, hpet, "hpet");
    }
    void add(layout::PortRange range, PortHandler& handler) {
        good = ports.add(range.first, range.count, handler, "") && good;
    }
    bool good = true;

    void out8(u16 port, u32 value) { ports.write(port, 1, value); }
    u8 in8(u16 port) { return static_cast<u8>(ports.read(port, 1)); }
    void out16(u16 port, u32 value) { ports.write(port, 2, value); }
    u16 in16(u16 port) { return static_cast<u16>(ports.read(port, 2)); }
    void out32(u16 port, u32 value) { ports.write(port, 4, value); }
    u32 in32(u16 port) { return ports.read(port, 4); }
    void store(u64 where, u32 value) { mmio.write(Gpa(where), 4, value); }
    u32 load(u64 where) { return static_cast<u32>(mmio.read(Gpa(where), 4)); }

    /// The usual PC initialization: vectors 20h and 28h, everything unmasked.
    void init_pics() {
        for (u32 value : {0x11u}) out8(0x20, value), out8(0xA0, value);
        out8(0x21, 0x20), out8(0xA1, 0x28);
        out8(0x21, 0x04), out8(0xA1, 0x02);
        out8(0x21, 0x01), out8(0xA1, 0x01);
        out8(0x21, 0x00), out8(0xA1, 0x00);
    }
    void ioapic_write(u8 index, u32 value) {
        store(layout::kIoApic.first, index), store(layout::kIoApic.first + 0x10, value);
    }
    u32 ioapic_read(u8 index) {
        store(layout::kIoApic.first, index);
        return load(layout::kIoApic.first + 0x10);
    }
    std::vector<u8> save() {
        Archive archive;
        for (Device* device : devices) device->serialize(archive);
        return archive.bytes();
    }
};

}  // namespace shadowbox::test
