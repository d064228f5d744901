// SPDX-License-Identifier: MIT
// One guest: its memory, vCPUs, board and threads. Made by Host::add(). Under the host clock each vCPU and
// the devices have a thread of their own; under icount the Host's one runner thread drives every VM
// (vmm/icount_runner.h).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "core/host/thread.h"
#include "mmu/guest_memory.h"
#include "mmu/machine_bus.h"
#include "vmm/boot/boot_image.h"
#include "vmm/config/machine_config.h"
#include "vmm/disks/image_backend.h"
#include "vmm/journal/journal.h"
#include "vmm/machine/apic_fabric.h"
#include "vmm/machine/board.h"
#include "vmm/machine/vcpu_gate.h"
#include "vmm/machine/vm_clock.h"

namespace shadowbox {

class Host;
class IdleCaches;
class ScreenSource;
class Vcpu;
enum class ExitReason : u8;

enum class VmState : u8 { kPaused, kRunning, kPoweredOff, kCrashed };
const char* vm_state_name(VmState state);
enum class VmEvent : u8 { kPaused, kResumed, kReset, kEnded };

class VirtualMachine final : public MachineBus {
 public:
    static Expected<std::unique_ptr<VirtualMachine>> create(Host& host, VmId id, MachineConfig config,
                                                            CharBackends lines);
    ~VirtualMachine() override;

    // --- life; any thread but a vCPU's ---
    void start();  ///< powers on (paused if the configuration says so)
    void pause();
    void resume();
    void reset();  ///< the reset button
    void stop();   ///< pulls the plug; joins the threads
    VmState state() const { return state_.load(std::memory_order_acquire); }
    /// Hears of changes, on the thread that made them; must not call back into the VM. Before start().
    void set_observer(std::function<void(VmEvent)> observer) { observer_ = std::move(observer); }
    /// Process exit status this VM ended with: 0 power-off, the debug port's value, 3 triple fault under
    /// -no-reboot.
    int exit_status() const { return exit_status_.load(std::memory_order_acquire); }
    const std::string& stop_reason() const { return stop_reason_; }  ///< valid once not running

    // --- parts ---
    const MachineConfig& config() const { return config_; }
    const std::string& name() const { return config_.name; }
    GuestMemory& memory() { return *memory_; }
    Board& board() { return *board_; }
    Vcpu& vcpu(unsigned index) { return *vcpus_[index]; }
    unsigned vcpu_count() const { return static_cast<unsigned>(vcpus_.size()); }
    TimerQueue& timers() { return *timers_; }
    VmClock& vm_clock() { return *clock_; }
    Journal& journal() { return journal_; }
    /// The display adapter's picture; nullptr without one.
    ScreenSource* screen() { return screen_; }
    void set_screen(ScreenSource* screen) { screen_ = screen; }
    BootImage& boot_image() { return boot_image_; }
    Host& host() { return host_; }
    std::vector<Drive>& drives() { return drives_; }
    /// Everything devices own. Lock order: this before pmap and pool (design section 3).
    std::mutex& device_lock() { return device_lock_; }
    /// Runs `look` while no vCPU is inside guest code and the device lock is held: consistent views.
    void while_stopped(const std::function<void()>& look);
    void inspect(Inspector& inspector);

    // --- MachineBus, for vCPUs ---
    u32 port_read(u16 port, unsigned size) override;
    u32 port_read_run(u16 port, unsigned size, std::span<u8> to) override;
    u32 port_write_run(u16 port, unsigned size, std::span<const u8> from) override;
    void port_write(u16 port, unsigned size, u32 value) override;
    u64 mmio_read(Gpa where, unsigned size) override;
    void mmio_write(Gpa where, unsigned size, u64 value) override;
    u8 acknowledge_pic() override;
    void run_exclusive(std::function<void()> work) override;
    const GuestClock& clock() const override { return *clock_; }

    // --- the icount runner ---
    /// Runs one quantum of guest time; false when this VM can never run again.
    bool run_quantum();
    /// Guest time at which something will happen in an idle VM; kNever when only input can wake it.
    GuestNs idle_until();

 private:
    friend class Host;
    VirtualMachine(Host& host, VmId id, MachineConfig config);
    Expected<void> build(CharBackends lines);
    Expected<void> load_firmware();
    void power_on();
    void vcpu_main(Vcpu& vcpu);
    void device_main();
    bool halt_ends(Vcpu& vcpu);
    void sleep_in_halt(Vcpu& vcpu, IdleCaches& caches);
    ExitReason step_exclusive(Vcpu& vcpu);
    void after_exit(Vcpu& vcpu, int reason);
    void drain_exclusive();
    void run_exclusive_work();
    bool outside_work_waits() const;
    void do_outside_work();  ///< exclusive work and resets that wait for a vCPU thread
    void do_reset();
    void triple_fault(Vcpu& vcpu);
    void request_end(VmState state, int status, std::string reason);
    void run_vcpu_quantum(Vcpu& vcpu, GuestNs start, GuestNs length);
    void wake_all();
    void tell(VmEvent event) {
        if (observer_) observer_(event);
    }

    Host& host_;
    const VmId id_;  // 1 and up
    MachineConfig config_;
    std::unique_ptr<VmClock> clock_;
    std::unique_ptr<TimerQueue> timers_;
    std::unique_ptr<GuestMemory> memory_;
    ApicFabric apics_;
    std::vector<std::unique_ptr<Vcpu>> vcpus_;
    std::unique_ptr<IoExecutor> io_;
    std::vector<Drive> drives_;
    std::unique_ptr<NetBackend> network_;
    std::unique_ptr<Board> board_;
    struct CodeRelay;
    std::unique_ptr<CodeRelay> code_relay_;
    Journal journal_;
    VcpuGate gate_;
    BootImage boot_image_;

    std::mutex device_lock_;
    std::mutex exclusive_mutex_;  // one exclusive section at a time
    std::mutex exclusive_queue_mutex_;
    std::vector<std::function<void()>> exclusive_work_;  // guarded by exclusive_queue_mutex_
    std::atomic<bool> exclusive_pending_{false}, reset_pending_{false}, ending_{false};
    std::mutex life_mutex_;  // start, pause, resume, stop
    std::atomic<bool> started_{false};
    bool paused_ = true;  // guarded by life_mutex_
    std::atomic<VmState> state_{VmState::kPaused};
    std::atomic<int> exit_status_{0};
    std::string stop_reason_;
    std::function<void(VmEvent)> observer_;
    ScreenSource* screen_ = nullptr;
    std::unique_ptr<ScreenSource> vga_screen_;
    std::vector<std::thread> threads_;
    WakeEvent device_wake_;
    /// Translated code looks at no clock (host clock, -accel jit): the device thread asks a vCPU for
    /// attention when its local APIC's timer is due. Null where vCPUs look themselves.
    struct TimerWatch {
        std::atomic<GuestNs> due{kNever};
        GuestNs asked = kNever;  ///< device thread only: for this one attention has been asked for
    };
    std::unique_ptr<TimerWatch[]> timer_watch_;
    std::atomic<GuestNs> device_until_{
        kNever};  ///< until then the device thread sleeps; kNever: it is about to look
    void watch_timer(Vcpu& vcpu);
    GuestNs ask_for_due_timers();
    GuestNs icount_time_ = 0;  // the runner's
};

}  // namespace shadowbox
