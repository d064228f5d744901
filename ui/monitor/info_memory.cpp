// SPDX-License-Identifier: MIT
// info pmap, info pool, info mtree: where every page is.
#include "core/inspect.h"
#include "ui/monitor/commands.h"
#include "ui/options/size_text.h"
#include "vmm/machine/host.h"

namespace shadowbox {

namespace {

/// Successive pages of one kind.
struct PageRange {
    Ppn first;
    u64 count = 0;
    u64 kind = 0;
};

/// `kind` of each page that is no MMIO; equal neighbours become one range.
template <class Kind>
std::vector<PageRange> ranges(const Pmap& pmap, Kind kind) {
    std::vector<PageRange> found;
    pmap.for_each([&](Ppn ppn, PmapEntry entry) {
        u64 k = kind(entry);
        if (!found.empty() && found.back().kind == k && found.back().first + found.back().count == ppn)
            ++found.back().count;
        else
            found.push_back({ppn, 1, k});
    });
    return found;
}

std::string bounds(const PageRange& range) {
    return fmt::format("{:016x}-{:016x}", start_of(range.first).value,
                       start_of(range.first + range.count).value - 1);
}

constexpr std::size_t kMostRanges = 10'000;

}  // namespace

Expected<std::string> info_pmap(Monitor& monitor, const MonitorArguments&) {
    const Pmap& pmap = monitor.vm().memory().pmap();
    Pmap::Counts counts = pmap.count();
    std::string out = fmt::format("guest {}: {} pages\n", monitor.vm().name(), counts.total());
    for (unsigned i = 0; i < kPageStates; ++i)
        if (static_cast<PageState>(i) != PageState::kMmio)
            out += fmt::format("  {:<12} {:>10}\n", page_state_name(static_cast<PageState>(i)),
                               counts.by_state[i]);
    out += "  write-protected:";
    for (unsigned i = 0; i < kProtectReasons; ++i)
        out += fmt::format(" {} {}", protect_reason_name(i), counts.protected_by[i]);
    out += "\nranges:\n";
    auto found = ranges(pmap, [](PmapEntry entry) { return static_cast<u64>(entry.state()); });
    for (std::size_t i = 0; i < found.size() && i < kMostRanges; ++i)
        out += fmt::format("  {} {:>8} {}\n", bounds(found[i]), found[i].count,
                           page_state_name(static_cast<PageState>(found[i].kind)));
    if (found.size() > kMostRanges) out += fmt::format("  ... and {} more\n", found.size() - kMostRanges);
    return out;
}

Expected<std::string> info_pool(Monitor& monitor, const MonitorArguments&) {
    Host& host = monitor.control().host();
    PoolTotals totals = host.pool().totals();
    std::string out = fmt::format("pool: {} of {} pages in use ({} of {}), peak {}\n", totals.in_use,
                                  totals.capacity, size_text(totals.in_use * kPageSize),
                                  size_text(totals.capacity * kPageSize), totals.peak_in_use);
    if (totals.in_use >= totals.capacity)
        out += "  full: no new pages until less is in use; pool_set SIZE changes the size\n";
    u64 sum = 0;
    for (unsigned i = 0; i < kMachineStates; ++i) {
        sum += totals.by_state[i];
        out += fmt::format("  {:<12} {:>10}\n", machine_state_name(static_cast<MachineState>(i)),
                           totals.by_state[i]);
    }
    u64 shared = totals.by_state[static_cast<unsigned>(MachineState::kShared)];
    out += fmt::format("  {:<12} {:>10}  (reserved {}{})\n", "sum", sum, totals.reserved,
                       sum == totals.reserved ? "" : ": DOES NOT ADD UP");
    out += fmt::format("  shared pages have {} references: {} pages saved\n", totals.references,
                       totals.references > shared ? totals.references - shared : 0);
    out += fmt::format("{:<20} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "guest", "private", "shared",
                       "zero", "untouched", "other", "sum");
    u64 all_private = 0;
    for (auto& vm : host.vms()) {
        Pmap::Counts counts = vm->memory().pmap().count();
        auto of = [&](PageState state) { return counts.by_state[static_cast<unsigned>(state)]; };
        u64 own = of(PageState::kResident) + of(PageState::kRom), all = counts.total() - of(PageState::kMmio);
        u64 other = all - own - of(PageState::kShared) - of(PageState::kZero) - of(PageState::kUntouched);
        all_private += own;
        out +=
            fmt::format("{:<20} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", vm->name(), own,
                        of(PageState::kShared), of(PageState::kZero), of(PageState::kUntouched), other, all);
    }
    return out + fmt::format("{:<20} {:>10}  of {} private machine pages\n", "sum", all_private,
                             totals.by_state[static_cast<unsigned>(MachineState::kPrivate)]);
}

Expected<std::string> info_mtree(Monitor& monitor, const MonitorArguments&) {
    std::string out = "memory\n";
    for (const PageRange& range : ranges(monitor.vm().memory().pmap(), [](PmapEntry entry) {
             return entry.state() == PageState::kRom ? u64{2} : entry.protects(kProtectRom) ? u64{1} : u64{0};
         })) {
        static constexpr const char* kKinds[] = {"ram", "ram, read-only", "rom"};
        out += fmt::format("  {} {}\n", bounds(range), kKinds[range.kind]);
    }
    InspectNode mmio{"i/o memory", "", {}}, ports{"i/o ports", "", {}};
    monitor.vm().while_stopped([&] {
        Inspector memory_inspector(mmio), port_inspector(ports);
        monitor.vm().board().mmio.inspect(memory_inspector);
        monitor.vm().board().ports.inspect(port_inspector);
    });
    return out + inspect_text(mmio) + inspect_text(ports);
}

}  // namespace shadowbox
