// SPDX-License-Identifier: MIT
// sharing, info sharing: pages of equal content (vmm/memory/page_sharing.h).
#include "ui/monitor/commands.h"
#include "ui/monitor/expression.h"
#include "ui/options/size_text.h"
#include "vmm/machine/virtual_machine.h"
#include "vmm/memory/memory_policies.h"

namespace shadowbox {

namespace {

constexpr u64 kMostRate = 1'000'000;

std::string row(const std::string& name, const PageSharing::Counts& counts) {
    return fmt::format("{:<15} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}\n", name.substr(0, 15),
                       counts.looked_at, counts.zero, counts.shared, counts.stale, counts.differed,
                       counts.refused, counts.rounds);
}

}  // namespace

Expected<std::string> command_sharing(Monitor& monitor, const MonitorArguments& arguments) {
    PageSharing& sharing = monitor.control().policies().sharing;
    const std::string& what = arguments.word(0);
    if (what != "on" && what != "off")
        return make_error(ErrorCode::kInvalidArgument, "sharing: '{}': write on or off", what);
    if (arguments.words.size() > 1) {
        auto rate = parse_number(arguments.word(1), kMostRate);
        if (!rate || *rate == 0 || what == "off")
            return make_error(ErrorCode::kInvalidArgument,
                              "sharing: '{}': write pages a second, 1 to {}, behind on", arguments.word(1),
                              kMostRate);
        SharingRates rates;
        rates.busy = rates.idle = *rate;
        rates.most = std::max(rates.most, *rate * monitor.control().host().vms().size());
        sharing.set_rates(rates);
    }
    what == "on" ? sharing.start() : sharing.stop();
    return std::string();
}

Expected<std::string> info_sharing(Monitor& monitor, const MonitorArguments&) {
    Host& host = monitor.control().host();
    const PageSharing& sharing = monitor.control().policies().sharing;
    const SharingRates rates = sharing.rates();
    std::string out =
        fmt::format("{}: {} pages a second of a guest that works, {} of one that idles, {} of all\n",
                    sharing.running() ? "on" : "off", rates.busy, rates.idle, rates.most);
    out += fmt::format("{:<15} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}\n", "guest", "looked at", "zero",
                       "shared", "stale", "differed", "refused", "rounds");
    u64 zero_pages = 0;
    for (const VmHandle& vm : host.vms()) {
        out += row(vm->name(), sharing.counts(vm->id()));
        zero_pages += vm->memory().pmap().pages_in(PageState::kZero);
    }
    const PageSharing::Counts sum = sharing.counts();
    out += row("all", sum);
    const PoolTotals totals = host.pool().totals();
    const u64 shared = totals.by_state[static_cast<unsigned>(MachineState::kShared)];
    const ContentIndex::Counts index = sharing.index_counts();
    out += fmt::format("{} machine pages have {} owners: {} saved; the zero page stands for {}\n", shared,
                       totals.references, size_text((totals.references - shared) * kPageSize),
                       size_text(zero_pages * kPageSize));
    out += fmt::format("{} hints, {} shared frames, {} replaced; tables {}; {:.3f} s of a host thread\n",
                       index.hints, index.shared, index.replaced, size_text(sharing.bytes()),
                       static_cast<double>(sum.time_ns) / 1e9);
    return out;
}

}  // namespace shadowbox
