// SPDX-License-Identifier: MIT
// What needs every vCPU outside guest code: views, exclusive work, resets.
#include "vmm/machine/virtual_machine.h"

#include "cpu/state/vcpu.h"
#include "vmm/boot/firmware.h"

namespace shadowbox {

// --- views ---

void VirtualMachine::while_stopped(const std::function<void()>& look) {
    std::lock_guard exclusive(exclusive_mutex_);
    gate_.hold();
    {
        std::lock_guard lock(device_lock_);
        look();
    }
    gate_.release();
}

bool VirtualMachine::idle() const {
    for (const auto& vcpu : vcpus_)
        if (!vcpu->sleeping.load(std::memory_order_relaxed)) return false;
    return true;
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

// --- exclusive work ---

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

// --- resets ---

/// Device lock held, no vCPU inside guest code. The physical map is as after power-on before firmware or
/// kernel is put into it.
void VirtualMachine::power_on() {
    board_->reset();
    for (auto& vcpu : vcpus_) vcpu->reset();
    run_exclusive_work();
    start_firmware(*this);
}

void VirtualMachine::do_reset() {
    std::lock_guard exclusive(exclusive_mutex_);
    gate_.hold();
    {
        std::lock_guard lock(device_lock_);
        if (reset_pending_.exchange(false)) {
            io_->drain();  // what a disk still reads goes to pages of the guest that was, not of the next
            power_on();
            tell(VmEvent::kReset);
        }
    }
    gate_.release();
}

}  // namespace shadowbox
