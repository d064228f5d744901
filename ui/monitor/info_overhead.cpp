// SPDX-License-Identifier: MIT
// info overhead: what guests take of the host's memory beside their pages.
#include <array>

#include "core/inspect.h"
#include "cpu/blocks/block.h"
#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"
#include "ui/monitor/commands.h"
#include "ui/options/size_text.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

constexpr const char* kKinds[] = {"decoded blocks", "host code", "links, jump tables", "TLB tables",
                                  "boot files"};
using Bytes = std::array<u64, std::size(kKinds)>;

Bytes bytes_of(Vcpu& vcpu) {
    const u64 code = vcpu.jit ? vcpu.jit->bytes_used() : 0;
    return {vcpu.blocks->bytes_used(), code, vcpu.jit ? vcpu.jit->bytes_held() - code : 0,
            vcpu.mmu.table_bytes(), 0};
}

Bytes bytes_of(VirtualMachine& vm) {
    Bytes sum{};
    vm.while_stopped([&] {
        for (unsigned i = 0; i < vm.vcpu_count(); ++i) {
            const Bytes one = bytes_of(vm.vcpu(i));
            for (unsigned kind = 0; kind < sum.size(); ++kind) sum[kind] += one[kind];
        }
        sum.back() = vm.boot_image().bytes();
    });
    return sum;
}

std::string line_of(const std::string& name, const Bytes& bytes) {
    std::string out = fmt::format("{:<20}", name);
    u64 sum = 0;
    for (u64 one : bytes) {
        out += fmt::format(" {:>18}", one);
        sum += one;
    }
    return out + fmt::format(" {:>18}\n", sum);
}

}  // namespace

Expected<std::string> info_overhead(Monitor& monitor, const MonitorArguments&) {
    Host& host = monitor.control().host();
    std::string out = fmt::format("{:<20}", "guest, bytes");
    for (const char* kind : kKinds) out += fmt::format(" {:>18}", kind);
    out += fmt::format(" {:>18}\n", "sum");
    Bytes all{};
    for (auto& vm : host.vms()) {
        const Bytes bytes = bytes_of(*vm);
        for (unsigned kind = 0; kind < all.size(); ++kind) all[kind] += bytes[kind];
        out += line_of(vm->name(), bytes);
    }
    out += line_of("sum", all);
    const CodeBudget& budget = host.code_budget();
    return out + fmt::format("code cache: {} of {} in use (blocks, host code and what belongs to it)\n",
                             size_text(budget.used()), size_text(budget.limit()));
}

}  // namespace shadowbox
