// SPDX-License-Identifier: MIT
// The life of a VM: start, pause, block, end, and what is left of it afterwards.
//
// Whether it stands still is one fact, the gate held or not; why is two: the user paused it (`paused_`), or
// it is blocked (`blocked_by_`). The end overrules both and needs no lock, since a device may bring it about.
#include "core/host/host_time.h"
#include "core/log.h"
#include "cpu/events/interrupts.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

/// A guest that lives from hand to mouth says so once in a while.
constexpr u64 kRoomLinePeriod = 10'000'000'000;
/// A refusal although the pool has room (a pager's own reason, or the room just came): asked again after
/// this.
constexpr u64 kAskAgain = 100'000'000;

double pool_mib(const MachinePool& pool) { return static_cast<double>(pool.capacity()) / 256; }

}  // namespace

const char* vm_state_name(VmState state) {
    switch (state) {
        case VmState::kPaused: return "paused";
        case VmState::kRunning: return "running";
        case VmState::kBlocked: return "blocked";
        case VmState::kPoweredOff: return "shutdown";
        case VmState::kCrashed: return "crashed";
    }
    return "?";
}

VmState VirtualMachine::state() const {
    VmState end = end_state_.load(std::memory_order_acquire);
    if (end != VmState::kRunning) return end;
    VmState standing = standing_.load(std::memory_order_acquire);
    return standing == VmState::kRunning && waits_for_page_ ? VmState::kBlocked : standing;
}

const char* VirtualMachine::block_reason() const {
    if (blocked_by(BlockReason::kPoolFull)) return "no machine page left: pool_set SIZE gives room";
    if (blocked_by(BlockReason::kPolicy)) return "its memory is being reclaimed";
    return waits_for_page_ ? "a page is on its way" : "";
}

// --- start, pause, block ---

void VirtualMachine::start() {
    {
        std::lock_guard finishing(finish_mutex_);  // not beside stop()
        if (started_ || ending_) return;
        gate_.hold();  // closed until resume()
        {
            std::lock_guard lock(device_lock_);
            power_on();
        }
        if (!icount_) {
            for (auto& vcpu : vcpus_) threads_.emplace_back([this, &vcpu] { vcpu_main(*vcpu); });
            threads_.emplace_back([this] { device_main(); });
        }
        started_ = true;
        host_.vm_started();
    }
    if (!config_.start_paused) resume();
}

/// life_mutex_ held, the end not asked for.
void VirtualMachine::stand(bool paused, u8 blocked_by) {
    const bool stood = paused_ || blocked_by_, stands = paused || blocked_by;
    paused_ = paused;
    blocked_by_ = blocked_by;
    standing_ = paused ? VmState::kPaused : blocked_by ? VmState::kBlocked : VmState::kRunning;
    if (stands && !stood) {
        gate_.hold();
        clock_->pause();
    } else if (!stands && stood) {
        clock_->resume();
        gate_.release();
        device_wake_.signal();
        host_.wake_runner();
    }
    host_.vm_changed();
    if (stands != stood) tell(stands ? VmEvent::kPaused : VmEvent::kResumed);
}

void VirtualMachine::pause() {
    std::lock_guard life(life_mutex_);
    if (!paused_ && !ending_) stand(true, blocked_by_);
}

void VirtualMachine::resume() {
    std::lock_guard life(life_mutex_);
    if (ending_ || !started_) return;
    room_line_at_ = 0;
    const u8 blocked_by = blocked_by_ & ~static_cast<u8>(BlockReason::kPoolFull);
    if (paused_ || blocked_by != blocked_by_) stand(false, blocked_by);
}

void VirtualMachine::block(BlockReason reason) {
    std::lock_guard life(life_mutex_);
    if (!ending_ && started_) stand(paused_, blocked_by_ | static_cast<u8>(reason));
}

void VirtualMachine::unblock(BlockReason reason) {
    std::lock_guard life(life_mutex_);
    if (!ending_ && blocked_by(reason)) stand(paused_, blocked_by_ & ~static_cast<u8>(reason));
}

void VirtualMachine::reset() {
    if (ending_) return;
    reset_pending_ = true;
    wake_all();
}

void VirtualMachine::send_nmi() {
    if (ending_) return;
    for (auto& vcpu : vcpus_) vcpu->post_nmi();
    host_.wake_runner();
}

void VirtualMachine::wake_all() {
    for (auto& vcpu : vcpus_) vcpu->post_attention(SafepointParticipant::kAttentionStop);
    device_wake_.signal();
    host_.wake_runner();
}

void VirtualMachine::triple_fault(Vcpu& vcpu) {
    std::string story;
    while_stopped([&] { story = shutdown_story(vcpu); });  // a reset may already be under way
    if (auto held = triple_fault_lines_.take(host_monotonic_ns()))
        spdlog::warn("[{}] vCPU {}: {}{}", config_.name, vcpu.index, story,
                     *held ? fmt::format(" ({} more since the last line)", *held) : "");
    TripleFaultAction action = config_.triple_fault;
    if (action == TripleFaultAction::kDefault)
        action = config_.no_reboot ? TripleFaultAction::kExit : TripleFaultAction::kReset;
    switch (action) {
        case TripleFaultAction::kExit: return request_end(VmState::kCrashed, 3, story);
        case TripleFaultAction::kFreeze: return pause();
        default: reset_pending_ = true;
    }
}

// --- the pool is exhausted ---

void VirtualMachine::want_room(Ppn ppn) {
    std::lock_guard life(life_mutex_);
    if (ending_ || blocked_by(BlockReason::kPoolFull)) return;  // another vCPU met it first
    const u64 now = host_monotonic_ns();
    ask_again_at_ = pool_->available() ? now + kAskAgain : 0;
    // Where nobody can give room the Host ends the machine, and that is the line.
    const bool tell_it = !room_line_at_ || now - room_line_at_ >= kRoomLinePeriod;
    if (tell_it && host_.room_may_come(this)) {
        room_line_at_ = now;
        spdlog::error("[{}] no machine page left in the pool of {:.1f} MiB: the machine stands still; {}",
                      config_.name, pool_mib(*pool_),
                      host_.config().attended ? "pool_set SIZE in the monitor gives room, cont goes on"
                                              : "it goes on when another guest gives pages back");
    }
    spdlog::debug("[{}] no page for {}", config_.name, ppn);
    stand(paused_, blocked_by_ | static_cast<u8>(BlockReason::kPoolFull));
}

void VirtualMachine::end_for_want_of_pages() {
    request_end(
        VmState::kCrashed, Host::kOutOfPagesStatus,
        fmt::format("no machine page left in the pool of {:.1f} MiB, and neither a guest nor a monitor that "
                    "could give room: raise --pool, lower -m, or run with -monitor or -qmp",
                    pool_mib(*pool_)));
}

// --- the end ---

/// The guest switched itself off, in a port access. Under -no-shutdown the machine stays, to be looked at or
/// reset; a thread of its own pauses it, since this one is inside the gate.
void VirtualMachine::power_off() {
    if (!config_.no_shutdown) return request_end(VmState::kPoweredOff, 0, "the guest powered off");
    if (power_off_pending_.exchange(true)) return;
    spdlog::info("[{}] the guest powered off; it stays, paused (-no-shutdown)", config_.name);
    tell(VmEvent::kEnded);
    if (power_off_pauser_.joinable()) power_off_pauser_.join();  // of an earlier life, long at its end
    power_off_pauser_ = std::thread([this] {
        pause();
        power_off_pending_ = false;
    });
}

void VirtualMachine::request_end(VmState state, int status, std::string reason) {
    bool expected = false;
    if (!ending_.compare_exchange_strong(expected, true)) return;
    stop_reason_ = std::move(reason);
    exit_status_ = status;
    end_state_.store(state, std::memory_order_release);
    spdlog::info("[{}] {}", config_.name, stop_reason_);
    memory_->cancel_waits();
    gate_.end();
    wake_all();
    page_waiter_wake_.signal();
    host_.vm_changed();
    tell(VmEvent::kEnded);
}

void VirtualMachine::stop() {
    if (finished_) return;
    {
        std::lock_guard finishing(finish_mutex_);
        if (!started_ && !ending_.exchange(true)) {
            stop_reason_ = "it was not started";
            end_state_.store(VmState::kPoweredOff, std::memory_order_release);
        }
    }
    request_end(VmState::kPoweredOff, 0, "stopped");
    finish();
}

void VirtualMachine::finish() {
    std::lock_guard finishing(finish_mutex_);
    if (finished_ || !ending_) return;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    {
        std::lock_guard quantum(quantum_mutex_);
    }  // the runner is out of this VM, and sees `ending_` from now on
    if (page_waiter_.joinable()) page_waiter_.join();
    journal_.close();
    network_.reset();
    if (io_) io_->drain();
    if (memory_) give_pages_back();
    finished_ = true;
    host_.vm_finished();
}

/// No thread of the VM's own is left; views may still come.
void VirtualMachine::give_pages_back() {
    while_stopped([&] {
        for (auto& vcpu : vcpus_) {
            record_.retired += vcpu->retired;
            vcpu->safepoint.enter();
            vcpu->release_caches();  // handles may live long
            vcpu->safepoint.leave();
        }
        if (icount_) record_.memory_hash = memory_->content_hash();
        record_.time = clock_->now();
        std::vector<std::pair<Ppn, u64>> ranges;
        memory_->pmap().for_each([&](Ppn ppn, PmapEntry) {
            if (!ranges.empty() && ranges.back().first + ranges.back().second == ppn)
                ++ranges.back().second;
            else
                ranges.emplace_back(ppn, 1);
        });
        for (auto& [first, count] : ranges) memory_->unmap(first, count);
    });
    pool_->trim();
}

}  // namespace shadowbox
