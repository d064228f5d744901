// SPDX-License-Identifier: MIT
#include "vmm/machine/apic_fabric.h"

#include "cpu/apic/local_apic.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

void ApicFabric::deliver(const ApicMessage& message) {
    for (Vcpu* vcpu : vcpus_) {
        if (!vcpu->apic->matches(message.destination, message.logical)) continue;
        if (message.delivery == ApicDelivery::kLowestPriority && !vcpu->apic->software_enabled()) continue;
        deliver_to(*vcpu, message);
        if (message.delivery == ApicDelivery::kLowestPriority) return;  // the first one that can take it
    }
}

void ApicFabric::deliver_to(Vcpu& vcpu, const ApicMessage& message) {
    switch (message.delivery) {
        case ApicDelivery::kFixed:
        case ApicDelivery::kLowestPriority: vcpu.apic->post(message.vector, message.level_triggered); break;
        case ApicDelivery::kNmi: vcpu.post_nmi(); break;
        case ApicDelivery::kInit: vcpu.apic->post_init(); break;
        case ApicDelivery::kStartup: vcpu.apic->post_sipi(message.vector); break;
        case ApicDelivery::kExtInt: vcpu.set_pic_line(true); break;
        case ApicDelivery::kSmi: break;  // no system management mode: firmware is told so
    }
}

}  // namespace shadowbox
