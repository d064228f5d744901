// SPDX-License-Identifier: MIT
// Puts a VM together from its configuration, and takes it apart.
#include "core/host/file.h"
#include "core/host/host_time.h"
#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/jit/jit.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "devices/bus/layout.h"
#include "vmm/boot/firmware.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"
#include "vmm/network/slirp_net.h"
#include "vmm/screen/vga_screen.h"

namespace shadowbox {

namespace {

constexpr const char* kVgaBios = "/usr/share/seabios/vgabios-stdvga.bin";

/// 52:54:00:12:34:56 for the first guest, as QEMU has it, and on from there.
VirtioNet::Mac mac_of(VmId id) {
    const u64 number = 0x123455 + id.value;
    return {0x52,
            0x54,
            0x00,
            static_cast<u8>(number >> 16),
            static_cast<u8>(number >> 8),
            static_cast<u8>(number)};
}

/// As the option's parser takes it.
VirtioNet::Mac mac_of(const std::string& text) {
    VirtioNet::Mac mac{};
    for (std::size_t i = 0; i < mac.size(); ++i)
        mac[i] = static_cast<u8>(std::stoul(text.substr(3 * i, 2), nullptr, 16));
    return mac;
}

}  // namespace

/// Stores into code pages reach every vCPU's block cache.
struct VirtualMachine::CodeRelay final : CodeWriteListener {
    explicit CodeRelay(VirtualMachine& vm) : vm(vm) {}
    void code_written(Ppn ppn, u32 offset, u32 size) override {
        for (auto& vcpu : vm.vcpus_) vcpu->blocks->post_invalidate(ppn, offset, size);
    }
    VirtualMachine& vm;
};

VirtualMachine::VirtualMachine(Host& host, VmId id, MachineConfig config)
    : host_(host), id_(id), config_(std::move(config)), icount_(host.config().icount) {}

Expected<std::shared_ptr<VirtualMachine>> VirtualMachine::create(Host& host, VmId id, MachineConfig config,
                                                                 CharBackends lines) {
    std::shared_ptr<VirtualMachine> vm(new VirtualMachine(host, id, std::move(config)));
    if (auto built = vm->build(std::move(lines)); !built) return tl::unexpected(built.error());
    return vm;
}

Expected<void> VirtualMachine::build(CharBackends lines) {
    if (icount_)
        clock_ = std::make_unique<IcountVmClock>(host_.config().seed);
    else
        clock_ = std::make_unique<HostVmClock>();
    if (config_.rtc.start)
        clock_->set_wall_base(static_cast<u64>(*config_.rtc.start));
    else if (config_.rtc.local_time)
        clock_->set_wall_base(clock_->wall_base_seconds() + static_cast<u64>(host_seconds_east_of_utc()));
    timers_ = std::make_unique<TimerQueue>(*clock_);
    pool_ = host_.shared_pool();
    pager_ = host_.shared_pager();
    memory_ = std::make_unique<GuestMemory>(*pool_, *pager_, id_);
    code_relay_ = std::make_unique<CodeRelay>(*this);
    memory_->set_code_listener(code_relay_.get());
    map_ram();
    if (auto built = build_devices(std::move(lines)); !built) return built;
    if (auto built = build_vcpus(); !built) return built;
    timers_->on_earlier([this] {
        if (!icount_) return device_wake_.signal();
        GuestNs now = clock_->now(), deadline = timers_->next_deadline();
        for (auto& vcpu : vcpus_) vcpu->shrink_budget(static_cast<i64>(deadline > now ? deadline - now : 0));
    });
    journal_.on_post([this] { icount_ ? host_.wake_runner() : device_wake_.signal(); });
    if (auto prepared = prepare_firmware(*this); !prepared) return prepared;
    if (!config_.vga || !config_.kernel.empty() || board_->has_text_font()) return {};
    // Told when all else is there: a missing firmware is one line. Read again for the reason.
    if (auto vga_bios = File::read_all(kVgaBios, 1u << 20); !vga_bios)
        spdlog::warn("[{}] no picture from firmware: {} (Debian's package seabios has it)", config_.name,
                     vga_bios.error().text());
    return {};
}

/// Up to the PCI hole, and the rest above 4 GiB.
void VirtualMachine::map_ram() {
    u64 low = std::min<u64>(config_.memory_bytes, layout::kPciHole.first), high = config_.memory_bytes - low;
    memory_->map_ram(Ppn(0), low / kPageSize);
    if (high) memory_->map_ram(Ppn(u64{1} << (32 - kPageShift)), high / kPageSize);
    memory_->unmap(Ppn(layout::kVgaWindow.first / kPageSize), layout::kVgaWindow.size / kPageSize);
}

BoardHooks VirtualMachine::board_hooks() {
    BoardHooks hooks;
    hooks.pic_interrupt = [this](bool level) {
        if (!vcpus_.empty()) vcpus_[0]->set_pic_line(level);
    };
    hooks.ignne = [this](bool level) {
        if (!vcpus_.empty()) vcpus_[0]->set_ignne(level);
    };
    hooks.power_off = [this] { power_off(); };
    hooks.reset = [this] {
        if (config_.no_reboot)
            request_end(VmState::kPoweredOff, 0, "the guest asked for a reset (-no-reboot)");
        else
            reset();
    };
    hooks.debug_exit = [this](int status) {
        request_end(VmState::kPoweredOff, status, "the guest wrote to the debug-exit port");
    };
    hooks.firmware_line = [this](const std::string& line) {
        spdlog::debug("[{}] firmware: {}", config_.name, line);
    };
    hooks.run_exclusive = [this](std::function<void()> work) { run_exclusive(std::move(work)); };
    auto random = std::make_shared<SeededRandom>(host_.entropy() + id_.value * 64 + 63);
    hooks.random = [random] { return random->next(); };
    hooks.page_waits = page_waits_.get();
    return hooks;
}

Expected<void> VirtualMachine::build_devices(CharBackends lines) {
    if (icount_)
        io_ = std::make_unique<DeterministicIoExecutor>(*timers_);
    else
        io_ = std::make_unique<HostIoExecutor>([this] { device_wake_.signal(); });
    auto drives = open_drives(config_, *io_);
    if (!drives) return tl::unexpected(drives.error());
    drives_ = std::move(*drives);
    BoardPlugs plugs{lines.serials, lines.consoles, lines.debug_console};
    plugs.drives = &drives_;
    plugs.mac = config_.nic.mac.empty() ? mac_of(id_) : mac_of(config_.nic.mac);
    if (config_.nic.present) {
        auto network = SlirpNet::create(config_.nic, journal_, config_.name);
        if (!network) return tl::unexpected(network.error());
        network_ = std::move(*network);
        plugs.network = network_.get();
    }
    auto vga_bios = config_.vga ? File::read_all(kVgaBios, 1u << 20) : std::vector<u8>();
    if (vga_bios) plugs.vga_bios = std::move(*vga_bios);
    page_waits_ = std::make_unique<MachinePageWaits>(
        MachinePageWaits::Hooks{[this] {
                                    if (!icount_) return device_wake_.signal();
                                    for (auto& vcpu : vcpus_)
                                        vcpu->shrink_budget(0);  // no vCPU goes on before the request does
                                },
                                [this] { icount_ ? host_.wake_runner() : device_wake_.signal(); },
                                [this](Ppn ppn) { want_room(ppn); }});
    board_ = std::make_unique<Board>(config_, *memory_, *timers_, apics_, board_hooks(), plugs);
    if (auto ok = board_->wired(); !ok) return ok;
    if (config_.vga) {
        vga_screen_ = std::make_unique<VgaScreen>(board_->vga, device_lock_);
        set_screen(vga_screen_.get());
    }
    return {};
}

Expected<void> VirtualMachine::build_vcpus() {
    auto model = find_cpu_model(config_.cpu_model, icount_);
    if (!model) return tl::unexpected(model.error());
    for (unsigned i = 0; i < config_.vcpus; ++i) {
        vcpus_.push_back(std::make_unique<Vcpu>(i, *memory_, *this, apics_, board_->ioapic, **model));
        Vcpu& vcpu = *vcpus_.back();
        vcpu.vcpu_count = config_.vcpus;
        vcpu.threads_per_core = config_.threads_per_core;
        vcpu.cores_per_socket = config_.cores_per_socket;
        vcpu.alone = config_.vcpus == 1;
        vcpu.exact_time = icount_;
        // Addresses for a vCPU that has all of it; a third of what they take is host code.
        const u64 code_bytes = std::clamp(host_.code_budget().limit() / 2, u64{1} << 20, kDefaultCodeBytes);
        vcpu.blocks->resize(kBlockBytesPerCodeByte * code_bytes);
        vcpu.blocks->join(host_.code_budget());
        if (config_.jit) {
            vcpu.translated_counts = config_.count_retired;
            if (auto ok = vcpu.enable_jit(0, code_bytes); !ok) return ok;
            if (config_.count_hits) vcpu.jit->count_hits();
            vcpu.jit->set_listener(host_.config().translations);
        }
        vcpu.random = SeededRandom(host_.entropy() + id_.value * 64 + i);
        apics_.add(vcpu);
        gate_.add(vcpu);
        if (icount_) {
            vcpu.on_timer_changed = [this, &vcpu] {
                GuestNs now = clock_->now(), deadline = vcpu.apic->next_deadline();
                if (deadline != kNever)
                    vcpu.shrink_budget(static_cast<i64>(deadline > now ? deadline - now : 0));
            };
        } else if (config_.jit) {
            if (!timer_watch_) timer_watch_ = std::make_unique<TimerWatch[]>(config_.vcpus);
            vcpu.on_timer_changed = [this, &vcpu] { watch_timer(vcpu); };
        }
    }
    return {};
}

VirtualMachine::~VirtualMachine() {
    stop();
    if (power_off_pauser_.joinable()) power_off_pauser_.join();
    if (memory_) memory_->set_code_listener(nullptr);
    network_.reset();  // its thread posts to the journal
    if (io_) io_->drain();
    board_.reset();
    drives_.clear();
    io_.reset();
    vcpus_.clear();
}

}  // namespace shadowbox
