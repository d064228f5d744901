// SPDX-License-Identifier: MIT
// Carries interrupt messages to the local APICs of one VM (SDM 3A 11.6). Thread safe: the list of vCPUs is
// fixed before start.
#pragma once

#include <memory>
#include <vector>

#include "mmu/machine_bus.h"

namespace shadowbox {

class Vcpu;

class ApicFabric final : public ApicMessageSink {
 public:
    void add(Vcpu& vcpu) { vcpus_.push_back(&vcpu); }
    void deliver(const ApicMessage& message) override;

 private:
    void deliver_to(Vcpu& vcpu, const ApicMessage& message);
    std::vector<Vcpu*> vcpus_;
};

}  // namespace shadowbox
