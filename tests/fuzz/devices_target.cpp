// SPDX-License-Identifier: MIT
// Every device of the board: whatever the guest writes to ports, MMIO, configuration space and memory, and
// whatever comes from outside meanwhile, no device crashes, hangs or goes outside the guest's memory. Also:
// save states load to the same bytes, corrupt ones do no harm, and a reset machine is at rest. One harness
// over the list of devices; a new device is in it by being on the board.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "devices/bus/pci_setup.h"
#include "mmu/zero_fill_pager.h"
#include "tests/fuzz/fuzz_input.h"
#include "vmm/disks/drives.h"
#include "vmm/machine/board.h"

namespace shadowbox::fuzz {

namespace {

constexpr u64 kMemoryBytes = 4 << 20;

struct Clock final : GuestClock {
    GuestNs now() const override { return now_; }
    u64 wall_base_seconds() const override { return 1'700'000'000; }
    GuestNs now_ = 0;
};
struct Apics final : ApicMessageSink {
    void deliver(const ApicMessage&) override {}
};
struct Line final : CharBackend {
    void write(std::span<const u8>) override {}
    void type(std::span<const u8> bytes) {
        if (!receiver_) return;
        receiver_->receive(bytes.first(std::min<std::size_t>(bytes.size(), receiver_->can_receive())));
    }
};
struct Net final : NetBackend {
    void send(std::span<const u8>) override {}
    void arrive(std::span<const u8> frame) {
        if (receive_) receive_(frame);
    }
};

/// Image files of the process, made once.
const std::string& image_path(u64 bytes) {
    static std::vector<std::pair<u64, std::string>> made;
    for (auto& [size, path] : made)
        if (size == bytes) return path;
    if (made.empty())
        std::atexit([] {
            for (auto& [size, path] : made) unlink(path.c_str());
        });
    std::string path = fmt::format("/tmp/shadowbox-fuzz-{}-{}.img", getpid(), bytes);
    FILE* file = fopen(path.c_str(), "wb");
    FUZZ_CHECK(file && ftruncate(fileno(file), static_cast<off_t>(bytes)) == 0, "cannot make {}", path);
    fclose(file);
    made.reserve(8);
    made.emplace_back(bytes, path);
    return made.back().second;
}

struct Machine {
    Clock clock;
    TimerQueue timers{clock};
    std::unique_ptr<MachinePool> pool =
        std::move(*MachinePool::create(16384, 32768));  // 64 MiB: RAM and the frame buffer
    ZeroFillPager pager;
    GuestMemory memory{*pool, pager, VmId(1)};
    Apics apics;
    Line serial, console;
    Net net;
    DeterministicIoExecutor io{timers};
    std::vector<Drive> drives;
    std::vector<std::function<void()>> exclusive;
    bool interrupt = false, reset_wanted = false;
    bool tainted =
        false;  ///< a corrupt state was loaded: it may say that the frame buffer lies where it does not
    u64 random = 0;
    MachineConfig config;
    std::unique_ptr<Board> board;

    Machine() {
        config.memory_bytes = kMemoryBytes;
        config.debug_exit_port = 0xF4;
        memory.map_ram(Ppn(0), kMemoryBytes / kPageSize);
        memory.unmap(Ppn(0xA0), 0x20);
        auto add = [this](u64 bytes, DriveInterface interface, bool cdrom, int index) {
            config.drives.push_back({image_path(bytes), interface, cdrom, cdrom, !cdrom, index});
        };
        add(1 << 20, DriveInterface::kIde, false, 0);
        add(400 * 2048, DriveInterface::kIde, true, 2);
        add(1474560, DriveInterface::kFloppy, false, 0);
        add(1 << 20, DriveInterface::kVirtio, false, 0);
        auto opened = open_drives(config, io);
        FUZZ_CHECK(opened.has_value(), "{}", opened.error().text());
        drives = std::move(*opened);
        BoardHooks hooks;
        hooks.pic_interrupt = [this](bool level) { interrupt = level; };
        hooks.power_off = [] {};
        hooks.reset = [this] { reset_wanted = true; };
        hooks.debug_exit = [](int) {};
        hooks.firmware_line = [](const std::string&) {};
        hooks.run_exclusive = [this](std::function<void()> work) { exclusive.push_back(std::move(work)); };
        hooks.random = [this] { return random += 0x9E3779B97F4A7C15; };
        BoardPlugs plugs;
        plugs.serials = {&serial};
        plugs.consoles = {&console};
        plugs.network = &net;
        plugs.mac = {0x52, 0x54, 0, 1, 2, 3};
        plugs.drives = &drives;
        plugs.vga_bios = std::vector<u8>(2048, 0x55);
        board = std::make_unique<Board>(config, memory, timers, apics, hooks, plugs);
        board->reset();
        run_exclusive();
    }
    void run_exclusive() {
        while (!exclusive.empty()) {
            auto work = std::move(exclusive);
            exclusive.clear();
            for (auto& item : work) item();
        }
    }
    void advance(GuestNs ns) {
        clock.now_ += ns;
        timers.run_due(clock.now_);
        run_exclusive();
    }
    /// Until no disk request is under way.
    void drain() {
        for (unsigned i = 0; i < 200 && disk_busy(); ++i) advance(DeterministicIoExecutor::kLatency);
    }
    bool disk_busy() { return timers.next_deadline() <= clock.now_ + DeterministicIoExecutor::kLatency; }
    std::vector<u8> save() {
        Archive archive;
        board->serialize(archive);
        return archive.bytes();
    }
    template <class T>
    void put(u64 where, T value) {
        memory.write(Gpa(where), std::span(reinterpret_cast<const u8*>(&value), sizeof value));
    }
};

/// A port of some device, seldom any.
u16 choose_port(Input& in) {
    if (u8 choice = in.byte(); choice >= 8) {
        const auto& range = layout::kPorts[choice % layout::kPorts.size()];
        return static_cast<u16>(range.first + in.byte() % range.count);
    }
    return static_cast<u16>(in.flag() ? 0xC000 + in.byte() : in.number(2));  // C000h: where BARs of ports lie
}

/// A place in one of the MMIO ranges: fixed ones, or the BARs that are mapped.
Gpa choose_mmio(Input& in, Machine& m) {
    u8 choice = in.byte();
    u64 offset = in.flag() ? in.byte() : in.number(3);
    switch (choice % 8) {
        case 0: return Gpa(layout::kHpet.first + offset % layout::kHpet.size);
        case 1: return Gpa(layout::kIoApic.first + offset % 0x40);
        case 2: return Gpa(layout::kVgaWindow.first + offset % layout::kVgaWindow.size);
        case 3: return Gpa(in.number(8) & ((u64{1} << kPhysicalBits) - 1));
        default: break;
    }
    std::vector<const PciRegion*> regions;
    for (unsigned i = 0; i < 256; ++i)
        if (PciDevice* device = m.board->pci.at(i / 8, i % 8))
            for (const PciRegion& region : device->regions())
                if (region.mmio && region.mapped) regions.push_back(&region);
    if (regions.empty()) return Gpa(0xFEB00000);
    const PciRegion& region = *regions[choice / 8 % regions.size()];
    return Gpa(*region.mapped + offset % region.size);
}

/// The virtio function of a choice, and where its window lies; {nullptr, 0} while that is nowhere.
u64 virtio_window(Machine& m, u8 choice) {
    std::vector<u64> windows;
    for (unsigned slot = 3; slot < 32; ++slot) {
        u32 address = slot << 11;
        if (!m.board->pci.at(slot, 0) || (m.board->pci.config_read(address, 4) & 0xFFFF) != 0x1AF4) continue;
        windows.push_back(m.board->pci.config_read(address | 0x20, 4) & ~u64{15});
    }
    return windows.empty() ? 0 : windows[choice % windows.size()];
}

/// A driver's initialization, with three queues at places that the input chooses.
void start_virtio(Input& in, Machine& m) {
    u64 window = virtio_window(m, in.byte());
    auto write = [&](u32 offset, unsigned size, u64 value) {
        m.board->mmio.write(Gpa(window + offset), size, value);
    };
    write(20, 1, 0);
    write(8, 4, 1), write(12, 4, 1);
    write(20, 1, 11);
    for (unsigned queue = 0; queue < 3; ++queue) {
        u64 place = 0x4000 + in.below(8) * 0x1000;
        write(22, 2, queue);
        write(24, 2, 1u << in.below(9));
        write(32, 8, place), write(40, 8, place + 0x400 + in.below(2) * 0x2000), write(48, 8, place + 0x800);
        write(28, 2, 1);
    }
    write(20, 1, 15);
}

/// A few descriptors, an available ring entry, a notification.
void use_virtio(Input& in, Machine& m) {
    u64 window = virtio_window(m, in.byte()), ring = 0x4000 + in.below(8) * 0x1000;
    for (unsigned count = in.byte() & 3; count; --count) {
        u64 at = ring + in.below(16) * 16;
        m.put<u64>(at, in.flag() ? 0x10000 + in.number(2) : in.number(8));
        m.put<u32>(at + 8, static_cast<u32>(in.flag() ? in.number(2) : in.number(4)));
        m.put<u16>(at + 12, static_cast<u16>(in.byte() & 7)),
            m.put<u16>(at + 14, static_cast<u16>(in.below(20)));
    }
    u64 available = ring + 0x400 + in.below(2) * 0x2000;
    for (u64 i = 0; i < 4; ++i) m.put<u16>(available + 4 + 2 * i, static_cast<u16>(in.below(20)));
    m.put<u16>(available + 2, static_cast<u16>(in.byte()));
    m.board->mmio.write(Gpa(window + 0x3000 + in.below(4) * 4), 2, 0);
}

/// A task file, a command, and for DMA a descriptor table.
void use_ide(Input& in, Machine& m) {
    static constexpr u8 kCommands[] = {0x20, 0x24, 0x30, 0x34, 0xC4, 0xC5, 0xC8, 0xCA, 0x25, 0x35, 0xEC,
                                       0xA1, 0xA0, 0xA0, 0xEF, 0xE7, 0xC6, 0x91, 0xB0, 0x90, 0x08};
    u16 base = in.flag() ? 0x1F0 : 0x170;
    for (u16 i = 1; i < 6; ++i) m.board->ports.write(static_cast<u16>(base + i), 1, in.byte());
    m.board->ports.write(static_cast<u16>(base + 6), 1, 0xE0 | (in.byte() & 0x1F));
    m.put<u32>(0x2000, static_cast<u32>(in.number(3))),
        m.put<u32>(0x2004, 0x80000000 | static_cast<u32>(in.number(2)));
    m.board->ports.write(base == 0x1F0 ? 0xC004 : 0xC00C, 4, 0x2000);
    m.board->ports.write(static_cast<u16>(base + 7), 1, kCommands[in.below(std::size(kCommands))]);
    for (unsigned i = 0; i < 6; ++i) m.board->ports.write(base, 2, static_cast<u32>(in.number(2)));
    m.board->ports.write(base == 0x1F0 ? 0xC000 : 0xC008, 1, in.byte() & 9);
    for (unsigned i = in.byte(); i; --i) m.board->ports.read(base, 2);
}

void from_outside(Input& in, Machine& m) {
    Board& b = *m.board;
    switch (in.below(9)) {
        case 0: b.keyboard.key_event(static_cast<Key>(in.byte()), in.flag()); break;
        case 1:
            b.keyboard.mouse_event(static_cast<int>(in.number(4)), static_cast<int>(in.number(4)),
                                   static_cast<i8>(in.byte()), in.byte());
            break;
        case 2: m.serial.type(in.take(in.byte())); break;
        case 3: m.console.type(in.take(in.byte())); break;
        case 4: m.net.arrive(std::vector<u8>(in.number(2))); break;
        case 5: b.acpi.press_power_button(); break;
        case 6:
            b.balloon.set_target(in.number(4));
            b.balloon.request_statistics();
            break;
        case 7: b.ioapic.end_of_interrupt(in.byte()); break;
        default:
            if (m.interrupt) b.pic.acknowledge();
            break;
    }
}

/// Whose bytes lie at an offset of a save state.
std::string device_at(Machine& m, std::size_t offset) {
    Archive archive;
    archive.section("board", 1);
    m.board->a20.serialize(archive);
    for (Device* device : m.board->devices()) {
        std::size_t start = archive.bytes().size();
        device->serialize(archive);
        if (offset < archive.bytes().size()) return fmt::format("{} + {}", device->name(), offset - start);
    }
    return "nobody";
}

/// Saved and loaded again the bytes are the same; a corrupt state is loaded or refused.
void save_and_load(Input& in, Machine& m) {
    m.drain();
    std::vector<u8> saved = m.save();
    bool corrupt = in.flag();
    std::vector<u8> bytes = saved;
    if (corrupt) {
        for (unsigned i = in.byte() & 15; i; --i) bytes[in.below(bytes.size())] = in.byte();
        if (in.byte() > 240) bytes.resize(in.below(bytes.size()));
    }
    Archive archive(bytes);
    m.board->serialize(archive);
    m.run_exclusive();
    m.tainted |= corrupt;
    if (m.tainted) return;
    FUZZ_CHECK(!archive.failed(), "a state of ours does not load");
    std::vector<u8> again = m.save();
    auto differs =
        std::mismatch(saved.begin(), saved.end(), again.begin(), again.end()).first - saved.begin();
    FUZZ_CHECK(again == saved, "loading changed the state at byte {}, of {}", differs,
               device_at(m, static_cast<std::size_t>(differs)));
}

void look(Machine& m) {
    InspectNode node;
    Inspector inspector(node);
    m.board->inspect(inspector);
    VgaFrame frame;
    m.board->vga.render(frame);
    m.board->vga.text_screen();
    FUZZ_CHECK(frame.pixels.size() == std::size_t{frame.width} * frame.height,
               "a frame of {} x {} with {} pixels", frame.width, frame.height, frame.pixels.size());
}

void step(Input& in, Machine& m) {
    Board& b = *m.board;
    unsigned size = 1u << in.below(3);
    switch (in.below(24)) {
        case 0:
        case 1:
        case 2:
        case 3: b.ports.write(choose_port(in), size, static_cast<u32>(in.number(size))); break;
        case 4:
        case 5: b.ports.read(choose_port(in), size); break;
        case 6:
        case 7:
        case 8: b.mmio.write(choose_mmio(in, m), size * (1 + in.below(2)), in.number(8)); break;
        case 9: b.mmio.read(choose_mmio(in, m), size * (1 + in.below(2))); break;
        case 10:
        case 11: {
            u32 address = static_cast<u32>(in.byte() & 15) << 11 | static_cast<u32>(in.byte() & 3) << 8 |
                          (in.byte() & ~(size - 1));
            b.pci.config_write(address, size, static_cast<u32>(in.number(size)));
            b.pci.config_read(address, size);
            break;
        }
        case 12: set_up_pci(b.pci); break;
        case 13: m.memory.write(Gpa(in.number(2)), in.take(in.byte())); break;
        case 14: start_virtio(in, m); break;
        case 15:
        case 16: use_virtio(in, m); break;
        case 17:
        case 18: use_ide(in, m); break;
        case 19: from_outside(in, m); break;
        case 20:
        case 21: m.advance(in.flag() ? in.number(2) : in.number(4)); break;
        case 22: save_and_load(in, m); break;
        default: look(m); break;
    }
    m.run_exclusive();
    if (!m.reset_wanted) return;
    m.reset_wanted = false;
    b.reset();
    m.run_exclusive();
}

}  // namespace

void fuzz_devices(std::span<const u8> input) {
    Input in(input);
    Machine m;
    if (in.flag())
        FUZZ_CHECK(m.board->set_bios_image(std::vector<u8>(128 << 10, 0x90)).has_value(), "no firmware");
    if (in.flag()) set_up_pci(m.board->pci);
    m.run_exclusive();
    while (!in.empty()) step(in, m);
    m.drain();
    m.board->reset();
    m.run_exclusive();
    m.drain();
    FUZZ_CHECK(m.timers.next_deadline() == kNever, "a machine at rest waits for {} at {}",
               m.timers.next_deadline(), m.clock.now_);
}

}  // namespace shadowbox::fuzz
