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

bool page_in_use(const MachinePool& pool, Mpn mpn) {
    return mpn.value < pool.reserved() && pool.state(mpn) != MachineState::kFree &&
           pool.state(mpn) != MachineState::kReturning;
}

namespace {

/// "1234: resident, machine page 77, protected: code".
std::string page_line(Monitor& monitor, Ppn ppn) {
    PmapEntry entry = monitor.vm().memory().pmap().load(ppn);
    std::string out = fmt::format("ppn {:#x}: {}", ppn.value, page_state_name(entry.state()));
    if (entry.has_mpn()) out += fmt::format(", mpn {:#x}", entry.mpn().value);
    std::string reasons;
    for (unsigned i = 0; i < kProtectReasons; ++i)
        if (entry.reasons() >> i & 1) reasons += fmt::format(" {}", protect_reason_name(i));
    if (!reasons.empty()) out += ", write-protected:" + reasons;
    return out + "\n";
}

std::string machine_page_text(Monitor& monitor, Mpn mpn) {
    Host& host = monitor.control().host();
    if (!page_in_use(host.pool(), mpn)) return fmt::format("mpn {:#x}: not in use\n", mpn.value);
    std::string out = fmt::format("mpn {:#x}: {}, references {}\n", mpn.value,
                                  machine_state_name(host.pool().state(mpn)), host.pool().references(mpn));
    for (const PageOwner& owner : host.pool().owners(mpn)) {
        VmHandle vm = host.find(owner.vm);
        out += fmt::format("  {} ppn {:#x}\n", vm ? vm->name() : "?", owner.ppn.value);
    }
    return out;
}

}  // namespace

Expected<std::string> info_page(Monitor& monitor, const MonitorArguments& arguments) {
    const std::string& text = arguments.word(0);
    bool machine = text.starts_with("mpn:");
    auto number = number_argument(monitor, machine ? text.substr(4) : text);
    if (!number) return tl::unexpected(number.error());
    if (machine) return machine_page_text(monitor, Mpn(*number));
    if (!Pmap::in_range(Ppn(*number)))
        return make_error(ErrorCode::kInvalidArgument, "{:#x} is beyond the physical address space", *number);
    std::string out = page_line(monitor, Ppn(*number));
    PmapEntry entry = monitor.vm().memory().pmap().load(Ppn(*number));
    if (entry.has_mpn() && entry.state() != PageState::kZero) out += machine_page_text(monitor, entry.mpn());
    return out;
}

Expected<std::string> info_pmap(Monitor& monitor, const MonitorArguments& arguments) {
    const Pmap& pmap = monitor.vm().memory().pmap();
    if (!arguments.words.empty()) {
        auto first = number_argument(monitor, arguments.word(0)),
             last = arguments.words.size() > 1 ? number_argument(monitor, arguments.word(1)) : first;
        if (!first || !last) return tl::unexpected((first ? last : first).error());
        if (*last < *first || *last - *first >= kMostRanges || !Pmap::in_range(Ppn(*last)))
            return make_error(ErrorCode::kInvalidArgument,
                              "write two page numbers, the lower one first, at most {} pages apart",
                              kMostRanges);
        std::string out;
        for (u64 ppn = *first; ppn <= *last; ++ppn) out += page_line(monitor, Ppn(ppn));
        return out;
    }
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
