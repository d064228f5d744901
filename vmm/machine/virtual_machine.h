// SPDX-License-Identifier: MIT
// One guest: its memory, vCPUs, board and threads. Made by Host::add(), held by VmHandles (host.h). Under the
// host clock each vCPU and the devices have a thread of their own (vm_threads.cpp); under icount the Host's
// one runner thread drives every VM (icount_runner.h, icount_run.cpp).
//
// vm_build.cpp puts the parts together; vm_life.cpp starts, stops, pauses, blocks and ends; vm_bus.cpp is
// what vCPUs reach; virtual_machine.cpp is what needs all vCPUs outside guest code: views, exclusive work,
// resets.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "core/host/thread.h"
#include "core/line_budget.h"
#include "mmu/guest_memory.h"
#include "mmu/machine_bus.h"
#include "vmm/boot/boot_image.h"
#include "vmm/config/machine_config.h"
#include "vmm/disks/image_backend.h"
#include "vmm/journal/journal.h"
#include "vmm/machine/apic_fabric.h"
#include "vmm/machine/board.h"
#include "vmm/machine/page_waits.h"
#include "vmm/machine/vcpu_gate.h"
#include "vmm/machine/vm_clock.h"

namespace shadowbox {

class Host;
class IdleCaches;
class ScreenSource;
class Vcpu;
enum class ExitReason : u8;

enum class VmState : u8 { kPaused, kRunning, kBlocked, kPoweredOff, kCrashed };
const char* vm_state_name(VmState state);
enum class VmEvent : u8 { kPaused, kResumed, kReset, kEnded };

/// Why a machine stands still although nobody paused it. Whoever blocks it unblocks it; `cont` tries as well.
enum class BlockReason : u8 {
    kPoolFull = 1,  ///< it needs a machine page and there is none
    kPolicy = 2,    ///< a memory policy wants it to stand still
};

/// How a VM's part of a round under icount ended (icount_runner.h).
enum class RoundResult : u8 {
    kDone,  ///< its guest time is at the round's end
    kIdle,  ///< only input can wake it; its time stands
    kHeld,  ///< paused, blocked, or waiting for a page
    kEnded,
};

/// What is known of a machine whose pages are gone.
struct VmRecord {
    u64 retired = 0;      ///< instructions, of all vCPUs
    u64 memory_hash = 0;  ///< GuestMemory::content_hash() at the end; icount only
    GuestNs time = 0;
};

class VirtualMachine final : public MachineBus {
 public:
    static Expected<std::shared_ptr<VirtualMachine>> create(Host& host, VmId id, MachineConfig config,
                                                            CharBackends lines);
    ~VirtualMachine() override;

    // --- life; any thread but one inside guest code or the device lock ---
    void start();  ///< powers on (paused if the configuration says so); once
    void pause();
    void resume();  ///< ends a pause, and a want of pages is looked at again
    void reset();   ///< the reset button
    void stop();    ///< pulls the plug and waits for finish(); no thread of the VM's own
    /// Holds the machine without its being paused: it is not the user's doing. Nests with pause(), not with
    /// itself.
    void block(BlockReason reason);
    void unblock(BlockReason reason);
    bool blocked_by(BlockReason reason) const {
        return blocked_by_.load(std::memory_order_acquire) & static_cast<u8>(reason);
    }
    VmState state() const;
    /// Why it is in state kBlocked, for views.
    const char* block_reason() const;
    bool started() const { return started_.load(std::memory_order_acquire); }
    /// Host clock: every vCPU sleeps, and waits for an interrupt.
    bool idle() const;
    /// After the end: joins the threads, keeps the record, gives the machine pages back. Host does it soon.
    void finish();
    bool finished() const { return finished_.load(std::memory_order_acquire); }
    const VmRecord& record() const { return record_; }  ///< valid once finished
    // --- the pool is exhausted ---
    /// The machine needs a page for `ppn` and there is none: blocks it and says so, once. From a vCPU's or
    /// device thread too, outside the gate and without the device lock.
    void want_room(Ppn ppn);
    /// host_monotonic_ns() before which asking again is in vain.
    u64 ask_again_at() const { return ask_again_at_.load(std::memory_order_acquire); }
    /// Nobody can give it room.
    void end_for_want_of_pages();

    /// Hears of changes, on the thread that made them; must not call back into the VM. Before start().
    void set_observer(std::function<void(VmEvent)> observer) { observer_ = std::move(observer); }
    /// Process exit status this VM ended with: 0 power-off, the debug port's value, 3 triple fault under
    /// -no-reboot.
    int exit_status() const { return exit_status_.load(std::memory_order_acquire); }
    const std::string& stop_reason() const { return stop_reason_; }  ///< valid once ended

    // --- parts ---
    VmId id() const { return id_; }
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
    Host& host() { return host_; }  ///< not after the Host's end
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
    MemoryAnswer hold_pages(Gpa where) override;
    u8 acknowledge_pic() override;
    void x87_error(unsigned vcpu, bool asserted) override;
    void run_exclusive(std::function<void()> work) override;
    const GuestClock& clock() const override { return *clock_; }

    // --- the icount runner ---
    /// Runs to the end of the round, or as far as it gets; the next call goes on from there.
    RoundResult run_round();
    /// After kDone: how many rounds would change nothing but the time; kNever: only input can wake it.
    u64 idle_rounds();
    /// Lets so many idle rounds pass.
    void skip_rounds(u64 rounds);
    /// A non-maskable interrupt to every vCPU.
    void send_nmi();

 private:
    VirtualMachine(Host& host, VmId id, MachineConfig config);
    Expected<void> build(CharBackends lines);
    void map_ram();
    BoardHooks board_hooks();
    Expected<void> build_devices(CharBackends lines);
    Expected<void> build_vcpus();
    void power_on();
    void stand(bool paused, u8 blocked_by);
    void give_pages_back();
    void vcpu_main(Vcpu& vcpu);
    void device_main();
    bool halt_ends(Vcpu& vcpu);
    void sleep_in_halt(Vcpu& vcpu, IdleCaches& caches);
    ExitReason step_exclusive(Vcpu& vcpu);
    void after_exit(Vcpu& vcpu, ExitReason reason);
    void wait_for_page(Vcpu& vcpu);
    void page_waiter_main();
    void drain_exclusive();
    void run_exclusive_work();
    bool outside_work_waits() const;
    void do_outside_work();  ///< exclusive work and resets that wait for a vCPU thread
    void do_reset();
    void triple_fault(Vcpu& vcpu);
    void power_off();
    void request_end(VmState state, int status, std::string reason);
    /// Device requests that wait for pages go on; false: some still wait.
    bool settle_page_waits();
    bool begin_slice();
    bool run_slice();
    bool run_vcpu(Vcpu& vcpu, u64 first_retired);
    void wake_all();
    void tell(VmEvent event) {
        if (observer_) observer_(event);
    }

    Host& host_;     // not after `ending_` and finish()
    const VmId id_;  // 1 and up
    MachineConfig config_;
    const bool icount_;
    std::shared_ptr<MachinePool> pool_;  // both outlive the Host while somebody has a handle
    std::shared_ptr<Pager> pager_;
    std::unique_ptr<VmClock> clock_;
    std::unique_ptr<TimerQueue> timers_;
    std::unique_ptr<GuestMemory> memory_;
    ApicFabric apics_;
    std::vector<std::unique_ptr<Vcpu>> vcpus_;
    std::unique_ptr<IoExecutor> io_;
    std::vector<Drive> drives_;
    std::unique_ptr<NetBackend> network_;
    std::unique_ptr<MachinePageWaits> page_waits_;
    std::unique_ptr<Board> board_;
    struct CodeRelay;
    std::unique_ptr<CodeRelay> code_relay_;
    Journal journal_;
    VcpuGate gate_;
    BootImage boot_image_;

    std::mutex device_lock_;
    LineBudget triple_fault_lines_;
    std::mutex exclusive_mutex_;  // one exclusive section at a time
    std::mutex exclusive_queue_mutex_;
    std::vector<std::function<void()>> exclusive_work_;  // guarded by exclusive_queue_mutex_
    std::atomic<bool> exclusive_pending_{false}, reset_pending_{false}, ending_{false};
    std::thread power_off_pauser_;  // -no-shutdown
    std::atomic<bool> power_off_pending_{false};
    std::mutex life_mutex_;  // start, pause, resume, block
    std::atomic<bool> started_{false};
    bool paused_ = true;             // guarded by life_mutex_
    std::atomic<u8> blocked_by_{0};  // BlockReasons; written under life_mutex_
    std::atomic<u64> ask_again_at_{0};
    u64 room_line_at_ = 0;                     // guarded by life_mutex_: when want_room() last said so
    std::atomic<bool> waits_for_page_{false};  // icount: the page waiter is at work
    std::atomic<VmState> standing_{VmState::kPaused};    // what state() is before the end
    std::atomic<VmState> end_state_{VmState::kRunning};  // kRunning: it has not ended
    std::atomic<int> exit_status_{0};
    std::string stop_reason_;
    std::mutex finish_mutex_;
    std::atomic<bool> finished_{false};
    VmRecord record_;
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

    // --- icount; the runner's, under quantum_mutex_ ---
    /// A stretch of guest time in which no timer expires but at its end; the vCPUs run through it one after
    /// the other. It stays open while the VM stands still in its middle.
    struct Slice {
        bool open = false;
        GuestNs start = 0, length = 0;
        unsigned vcpu = 0;               ///< whose turn it is
        std::vector<u64> first_retired;  ///< of each vCPU, at the start
    };
    std::mutex quantum_mutex_;
    Slice slice_;
    GuestNs icount_time_ = 0, round_end_ = 0;
    std::thread page_waiter_;
    WakeEvent page_waiter_wake_;
    Vcpu* page_wanted_by_ = nullptr;  // handed over by waits_for_page_
};

}  // namespace shadowbox
