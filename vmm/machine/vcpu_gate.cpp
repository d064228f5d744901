// SPDX-License-Identifier: MIT
#include "vmm/machine/vcpu_gate.h"

#include "cpu/state/vcpu.h"

namespace shadowbox {

bool VcpuGate::enter(Vcpu& vcpu) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return holds_ == 0 || ended_; });
    if (ended_) return false;
    vcpu.safepoint.attention.fetch_and(~u32{SafepointParticipant::kAttentionStop});
    ++inside_;
    return true;
}

void VcpuGate::leave() {
    std::lock_guard lock(mutex_);
    --inside_;
    changed_.notify_all();
}

void VcpuGate::hold() {
    std::unique_lock lock(mutex_);
    ++holds_;
    for (Vcpu* vcpu : vcpus_) vcpu->post_attention(SafepointParticipant::kAttentionStop);
    changed_.wait(lock, [this] { return inside_ == 0; });
}

void VcpuGate::release() {
    std::lock_guard lock(mutex_);
    --holds_;
    changed_.notify_all();
}

void VcpuGate::end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    for (Vcpu* vcpu : vcpus_) vcpu->post_attention(SafepointParticipant::kAttentionStop);
    changed_.notify_all();
}

}  // namespace shadowbox
