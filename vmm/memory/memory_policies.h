// SPDX-License-Identifier: MIT
// The memory policies of one host, as its configuration wants them. Made after the Host and its first guests,
// gone before it.
#pragma once

#include "vmm/memory/page_sharing.h"

namespace shadowbox {

class MemoryPolicies {
 public:
    explicit MemoryPolicies(Host& host) : sharing(host, rates(host.config())) {
        if (host.config().sharing.value_or(false)) sharing.start();
    }
    PageSharing sharing;

 private:
    static SharingRates rates(const HostConfig& config) {
        SharingRates rates;
        if (config.scan_rate) rates.busy = rates.idle = *config.scan_rate;
        return rates;
    }
};

}  // namespace shadowbox
