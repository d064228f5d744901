// SPDX-License-Identifier: MIT
#include "vmm/memory/access_tracking.h"

#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

std::string service_name(const VirtualMachine& vm) {
    return fmt::format("epochs of guest {}", vm.id().value);
}

std::optional<ServiceInfo> service_of(const Host& host, const std::string& name) {
    for (ServiceInfo& info : host.services().list())
        if (info.name == name) return std::move(info);
    return std::nullopt;
}

}  // namespace

void track_accesses(Host& host, const VmHandle& vm, u64 period_ns) {
    stop_tracking(host, vm);
    vm->memory().next_epoch();
    // By its number, not by a handle, which would keep an ended guest.
    auto end_epoch = [&host, id = vm->id(), name = service_name(*vm)](u64) {
        VmHandle guest = host.find(id);
        if (guest && !guest->finished()) return guest->memory().next_epoch();
        if (auto service = service_of(host, name)) host.services().stop(service->id);
    };
    host.services().add(service_name(*vm), period_ns, ServiceClock::kGuest, end_epoch);
}

void stop_tracking(Host& host, const VmHandle& vm) {
    if (auto service = service_of(host, service_name(*vm))) host.services().stop(service->id);
    vm->memory().stop_epochs();
}

std::optional<u64> tracking_period(const Host& host, const VirtualMachine& vm) {
    auto service = service_of(host, service_name(vm));
    return service ? std::optional(service->period_ns) : std::nullopt;
}

}  // namespace shadowbox
