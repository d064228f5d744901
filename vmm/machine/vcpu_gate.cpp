// SPDX-License-Identifier: MIT
#include "vmm/machine/vcpu_gate.h"

#include "cpu/state/vcpu.h"

namespace shadowbox {

bool VcpuGate::enter(Vcpu& vcpu) {
    return enter_unless(vcpu, [] { return false; });
}

bool VcpuGate::enter_unless(Vcpu& vcpu, const std::function<bool()>& stands_still) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return holds_ == 0 || ended_ || stands_still(); });
    if (ended_ || holds_ > 0) return false;
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
    changed_.notify_all();
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
