// SPDX-License-Identifier: MIT
#include "vmm/machine/virtual_machine.h"

#include <algorithm>

#include "core/host/file.h"
#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/events/interrupts.h"
#include "cpu/jit/jit.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "devices/bus/layout.h"
#include "vmm/boot/firmware.h"
#include "vmm/machine/host.h"
#include "vmm/network/slirp_net.h"
#include "vmm/screen/vga_screen.h"

namespace shadowbox {

namespace {
constexpr const char* kVgaBios = "/usr/share/seabios/vgabios-stdvga.bin";
}

const char* vm_state_name(VmState state) {
    switch (state) {
        case VmState::kPaused: return "paused";
        case VmState::kRunning: return "running";
        case VmState::kPoweredOff: return "shutdown";
        case VmState::kCrashed: return "crashed";
    }
    return "?";
}

/// Stores into code pages reach every vCPU's block cache.
struct VirtualMachine::CodeRelay final : CodeWriteListener {
    explicit CodeRelay(VirtualMachine& vm) : vm(vm) {}
    void code_written(Ppn ppn, u32 offset, u32 size) override {
        for (auto& vcpu : vm.vcpus_) vcpu->blocks->post_invalidate(ppn, offset, size);
    }
    VirtualMachine& vm;
};

VirtualMachine::VirtualMachine(Host& host, VmId id, MachineConfig config)
    : host_(host), id_(id), config_(std::move(config)) {}

Expected<std::unique_ptr<VirtualMachine>> VirtualMachine::create(Host& host, VmId id, MachineConfig config,
                                                                 CharBackends lines) {
    std::unique_ptr<VirtualMachine> vm(new VirtualMachine(host, id, std::move(config)));
    if (auto built = vm->build(std::move(lines)); !built) return tl::unexpected(built.error());
    return vm;
}

Expected<void> VirtualMachine::build(CharBackends lines) {
    if (host_.config().icount)
        clock_ = std::make_unique<IcountVmClock>(host_.config().seed);
    else
        clock_ = std::make_unique<HostVmClock>();
    timers_ = std::make_unique<TimerQueue>(*clock_);
    memory_ = std::make_unique<GuestMemory>(host_.pool(), host_.pager(), id_);
    code_relay_ = std::make_unique<CodeRelay>(*this);
    memory_->set_code_listener(code_relay_.get());

    // RAM: up to the PCI hole, and the rest above 4 GiB.
    u64 low = std::min<u64>(config_.memory_bytes, layout::kPciHole.first), high = config_.memory_bytes - low;
    memory_->map_ram(Ppn(0), low / kPageSize);
    if (high) memory_->map_ram(Ppn(u64{1} << (32 - kPageShift)), high / kPageSize);
    memory_->unmap(Ppn(layout::kVgaWindow.first / kPageSize), layout::kVgaWindow.size / kPageSize);

    BoardHooks hooks;
    hooks.pic_interrupt = [this](bool level) {
        if (!vcpus_.empty()) vcpus_[0]->set_pic_line(level);
    };
    hooks.power_off = [this] { request_end(VmState::kPoweredOff, 0, "the guest powered off"); };
    hooks.reset = [this] {
        if (config_.no_reboot)
            request_end(VmState::kPoweredOff, 0, "the guest asked for a reset (-no-reboot)");
        else
            reset_pending_ = true, wake_all();
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
    if (host_.config().icount)
        io_ = std::make_unique<DeterministicIoExecutor>(*timers_);
    else
        io_ = std::make_unique<HostIoExecutor>([this] { device_wake_.signal(); });
    auto drives = open_drives(config_, *io_);
    if (!drives) return tl::unexpected(drives.error());
    drives_ = std::move(*drives);
    BoardPlugs plugs{lines.serials, lines.consoles};
    plugs.drives = &drives_;
    plugs.mac = {0x52, 0x54, 0x00, 0x12, 0x34, static_cast<u8>(0x55 + id_.value)};
    if (config_.nic.present) {
        auto network = SlirpNet::create(config_.nic, journal_, config_.name);
        if (!network) return tl::unexpected(network.error());
        network_ = std::move(*network);
        plugs.network = network_.get();
    }
    auto vga_bios = File::read_all(kVgaBios, 1u << 20);
    if (vga_bios) plugs.vga_bios = std::move(*vga_bios);
    board_ = std::make_unique<Board>(config_, *memory_, *timers_, apics_, std::move(hooks), plugs);
    vga_screen_ = std::make_unique<VgaScreen>(board_->vga, device_lock_);
    set_screen(vga_screen_.get());

    auto model = find_cpu_model(config_.cpu_model, host_.config().icount);
    if (!model) return tl::unexpected(model.error());
    for (unsigned i = 0; i < config_.vcpus; ++i) {
        vcpus_.push_back(std::make_unique<Vcpu>(i, *memory_, *this, apics_, board_->ioapic, **model));
        Vcpu& vcpu = *vcpus_.back();
        vcpu.vcpu_count = config_.vcpus;
        vcpu.alone = config_.vcpus == 1;
        vcpu.exact_time = host_.config().icount;
        // Addresses for a vCPU that has all of it; a third of what they take is host code.
        const u64 code_bytes = std::clamp(host_.code_budget().limit() / 2, u64{1} << 20, kDefaultCodeBytes);
        vcpu.blocks->resize(kBlockBytesPerCodeByte * code_bytes);
        vcpu.blocks->join(host_.code_budget());
        if (config_.jit) {
            if (auto ok = vcpu.enable_jit(0, code_bytes); !ok) return ok;
            if (config_.count_hits) vcpu.jit->count_hits();
            vcpu.jit->set_listener(host_.config().translations);
        }
        vcpu.random = SeededRandom(host_.entropy() + id_.value * 64 + i);
        apics_.add(vcpu);
        gate_.add(vcpu);
        if (host_.config().icount) {
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
    timers_->on_earlier([this] {
        if (!host_.config().icount) return device_wake_.signal();
        GuestNs now = clock_->now(), deadline = timers_->next_deadline();
        for (auto& vcpu : vcpus_) vcpu->shrink_budget(static_cast<i64>(deadline > now ? deadline - now : 0));
    });
    journal_.on_post([this] { host_.config().icount ? host_.wake_runner() : device_wake_.signal(); });
    if (auto loaded = load_firmware(); !loaded) return loaded;
    if (!vga_bios && config_.kernel.empty())
        spdlog::warn("[{}] no picture from firmware: {} (Debian's package seabios has it)", config_.name,
                     vga_bios.error().text());
    return {};
}

Expected<void> VirtualMachine::load_firmware() { return prepare_firmware(*this); }

VirtualMachine::~VirtualMachine() {
    stop();
    memory_->set_code_listener(nullptr);
    network_.reset();  // its thread posts to the journal
    if (io_) io_->drain();
    board_.reset();
    drives_.clear();
    io_.reset();
    vcpus_.clear();
}

/// Device lock held, no vCPU inside guest code. The physical map is as after power-on before firmware or
/// kernel is put into it.
void VirtualMachine::power_on() {
    board_->reset();
    for (auto& vcpu : vcpus_) vcpu->reset();
    run_exclusive_work();
    start_firmware(*this);
}

void VirtualMachine::start() {
    started_ = true;
    {
        std::lock_guard life(life_mutex_);
        gate_.hold();  // closed until resume()
    }
    {
        std::lock_guard lock(device_lock_);
        power_on();
    }
    if (!host_.config().icount) {
        for (auto& vcpu : vcpus_) threads_.emplace_back([this, &vcpu] { vcpu_main(*vcpu); });
        threads_.emplace_back([this] { device_main(); });
    }
    if (!config_.start_paused) resume();
}

void VirtualMachine::pause() {
    std::lock_guard life(life_mutex_);
    if (paused_ || ending_) return;
    gate_.hold();
    clock_->pause();
    paused_ = true;
    state_ = VmState::kPaused;
    tell(VmEvent::kPaused);
}

void VirtualMachine::resume() {
    std::lock_guard life(life_mutex_);
    if (!paused_ || ending_) return;
    clock_->resume();
    paused_ = false;
    state_ = VmState::kRunning;
    gate_.release();
    device_wake_.signal();
    host_.wake_runner();
    tell(VmEvent::kResumed);
}

void VirtualMachine::reset() {
    reset_pending_ = true;
    wake_all();
}

void VirtualMachine::wake_all() {
    for (auto& vcpu : vcpus_) vcpu->post_attention(SafepointParticipant::kAttentionStop);
    device_wake_.signal();
    host_.wake_runner();
}

void VirtualMachine::request_end(VmState state, int status, std::string reason) {
    bool expected = false;
    if (!ending_.compare_exchange_strong(expected, true)) return;
    stop_reason_ = std::move(reason);
    exit_status_ = status;
    state_ = state;
    spdlog::info("[{}] {}", config_.name, stop_reason_);
    gate_.end();
    wake_all();
    host_.vm_ended();
    tell(VmEvent::kEnded);
}

void VirtualMachine::stop() {
    if (!started_) {
        ending_ = true;
        return;
    }
    request_end(VmState::kPoweredOff, 0, "stopped");
    for (std::thread& thread : threads_)
        if (thread.joinable()) thread.join();
    threads_.clear();
}

void VirtualMachine::do_reset() {
    std::lock_guard exclusive(exclusive_mutex_);
    gate_.hold();
    {
        std::lock_guard lock(device_lock_);
        if (reset_pending_.exchange(false)) {
            power_on();
            tell(VmEvent::kReset);
        }
    }
    gate_.release();
}

void VirtualMachine::while_stopped(const std::function<void()>& look) {
    std::lock_guard exclusive(exclusive_mutex_);
    gate_.hold();
    {
        std::lock_guard lock(device_lock_);
        look();
    }
    gate_.release();
}

void VirtualMachine::inspect(Inspector& inspector) {
    inspector.field("state", vm_state_name(state()));
    inspector.field("memory (MiB)", config_.memory_bytes >> 20);
    for (auto& vcpu : vcpus_) {
        auto group = inspector.group(fmt::format("vCPU {}", vcpu->index));
        vcpu->inspect(group);
    }
    auto devices = inspector.group("devices");
    board_->inspect(devices);
}

// --- MachineBus: a vCPU that waits for the device lock counts as outside guest code, since a device that
// holds it may be waiting for a remap; no host pointer survives these calls ---

u32 VirtualMachine::port_read(u16 port, unsigned size) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    return board_->ports.read(port, size);
}
void VirtualMachine::port_write(u16 port, unsigned size, u32 value) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    board_->ports.write(port, size, value);
}
/// Nothing is waited for, so the caller's host pointer stays good; a busy lock means: one by one, as above.
u32 VirtualMachine::port_read_run(u16 port, unsigned size, std::span<u8> to) {
    std::unique_lock lock(device_lock_, std::try_to_lock);
    return lock ? board_->ports.read_run(port, size, to) : 0;
}
u32 VirtualMachine::port_write_run(u16 port, unsigned size, std::span<const u8> from) {
    std::unique_lock lock(device_lock_, std::try_to_lock);
    return lock ? board_->ports.write_run(port, size, from) : 0;
}
u64 VirtualMachine::mmio_read(Gpa where, unsigned size) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    return board_->mmio.read(where, size);
}
void VirtualMachine::mmio_write(Gpa where, unsigned size, u64 value) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    board_->mmio.write(where, size, value);
}
u8 VirtualMachine::acknowledge_pic() {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    return board_->pic.acknowledge();
}
void VirtualMachine::run_exclusive(std::function<void()> work) {
    {
        std::lock_guard lock(exclusive_queue_mutex_);
        exclusive_work_.push_back(std::move(work));
        exclusive_pending_ = true;
    }
    // Every vCPU stops at its next block boundary; the first one out does the work.
    for (auto& vcpu : vcpus_) vcpu->post_attention(SafepointParticipant::kAttentionStop);
}

void VirtualMachine::drain_exclusive() {
    std::lock_guard exclusive(exclusive_mutex_);
    gate_.hold();
    run_exclusive_work();
    gate_.release();
}

/// The gate is held, or the VM has not started.
void VirtualMachine::run_exclusive_work() {
    std::vector<std::function<void()>> work;
    {
        std::lock_guard lock(exclusive_queue_mutex_);
        work.swap(exclusive_work_);
        exclusive_pending_ = false;
    }
    for (auto& item : work) item();
}

void VirtualMachine::triple_fault(Vcpu& vcpu) {
    std::string story;
    while_stopped([&] { story = shutdown_story(vcpu); });  // a reset may already be under way
    spdlog::warn("[{}] vCPU {}: {}", config_.name, vcpu.index, story);
    TripleFaultAction action = config_.triple_fault;
    if (action == TripleFaultAction::kDefault)
        action = config_.no_reboot ? TripleFaultAction::kExit : TripleFaultAction::kReset;
    if (action == TripleFaultAction::kExit) return request_end(VmState::kCrashed, 3, story);
    if (action == TripleFaultAction::kFreeze) {
        std::lock_guard life(life_mutex_);
        if (paused_ || ending_) return;
        gate_.hold();
        clock_->pause();
        paused_ = true;
        state_ = VmState::kPaused;
        tell(VmEvent::kPaused);
        return;
    }
    reset_pending_ = true;
}

}  // namespace shadowbox
