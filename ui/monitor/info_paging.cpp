// SPDX-License-Identifier: MIT
// info mem, info tlb, info pg: QEMU's layouts, from the guest's own page tables.
#include "cpu/state/vcpu.h"
#include "mmu/page_rights.h"
#include "ui/monitor/commands.h"
#include "ui/monitor/page_table_view.h"

namespace shadowbox {

namespace {

constexpr const char* kCutOff = "(cut off: the page tables have no end)\n";

/// Runs `visit` over the page tables of the chosen CPU; the text says so if paging is off or the walk was cut
/// off.
std::string over_page_tables(Monitor& monitor, std::string& out,
                             const std::function<void(const TableEntry&)>& visit,
                             const std::function<void()>& end) {
    monitor.vm().while_stopped([&] {
        const PagingControl& control = monitor.vcpu().mmu.control();
        if (!(control.cr0 & cr::kPg)) {
            out = "PG disabled\n";
            return;
        }
        bool complete = visit_page_tables(control, monitor.vm().memory(), visit);
        end();
        if (!complete) out += kCutOff;
    });
    return std::move(out);
}

/// One line of `info pg`: entries that follow each other, with equal flags and (leaves) successive pages.
struct Run {
    TableEntry first;
    unsigned last_index = 0;
    u64 count = 0;
    bool continues(const TableEntry& entry) const {
        return count && entry.leaf && first.leaf && entry.level == first.level &&
               entry.index == last_index + 1 &&
               entry_flags(entry.raw, true) == entry_flags(first.raw, true) &&
               entry.target.value == first.target.value + count * first.span &&
               entry.first.value == first.first.value + count * first.span;
    }
};

void show_run(const Run& run, unsigned top, std::string& out) {
    if (!run.count) return;
    static constexpr const char* kNames[] = {"", "PTE", "PDE", "PDPE", "PML4", "PML5"};
    const TableEntry& entry = run.first;
    u64 vpn = entry.first.vpn().value, pages = run.count * (entry.span >> kPageShift);
    std::string index =
        run.count > 1 ? fmt::format("{}[{:03x}-{:03x}]", kNames[entry.level], entry.index, run.last_index)
                      : fmt::format("{}[{:03x}]", kNames[entry.level], entry.index);
    out += fmt::format("{}[{:05x}-{:05x}] {:<14} {}", std::string(2 * (top - entry.level), ' '), vpn,
                       vpn + pages - 1, index, entry_flags(entry.raw, true));
    u64 ppn = entry.target.ppn().value;
    if (entry.leaf)
        out += pages > 1 ? fmt::format(" {:05x}-{:05x}", ppn, ppn + pages - 1) : fmt::format(" {:05x}", ppn);
    out += '\n';
}

/// The linear addresses that a command is about; without arguments all.
struct Range {
    u64 first = 0, last = ~u64{0};
    bool meets(const TableEntry& entry) const {
        return entry.first.value <= last && entry.first.value + (entry.span - 1) >= first;
    }
};

Expected<Range> range_of(Monitor& monitor, const MonitorArguments& arguments) {
    Range range;
    if (arguments.words.empty()) return range;
    auto first = number_argument(monitor, arguments.word(0)),
         last = arguments.words.size() > 1 ? number_argument(monitor, arguments.word(1)) : first;
    if (!first || !last) return tl::unexpected((first ? last : first).error());
    if (*last < *first)
        return make_error(ErrorCode::kInvalidArgument, "{:#x} is above {:#x}: write the lower address first",
                          *first, *last);
    return Range{*first, *last};
}

}  // namespace

Expected<std::string> info_tlb(Monitor& monitor, const MonitorArguments& arguments) {
    auto range = range_of(monitor, arguments);
    if (!range) return tl::unexpected(range.error());
    std::string out;
    return over_page_tables(
        monitor, out,
        [&](const TableEntry& entry) {
            if (entry.leaf && range->meets(entry))
                out += fmt::format("{:016x}: {:016x} {}\n", entry.first.value, entry.target.value,
                                   entry_flags(entry.raw, false));
        },
        [] {});
}

Expected<std::string> info_mem(Monitor& monitor, const MonitorArguments& arguments) {
    auto range = range_of(monitor, arguments);
    if (!range) return tl::unexpected(range.error());
    std::string out;
    u64 start = 0, end = 0;
    bool user = false, writable = false, open = false;
    auto close = [&] {
        if (open)
            out += fmt::format("{:016x}-{:016x} {:016x} {}r{}\n", start, end, end - start, user ? 'u' : '-',
                               writable ? 'w' : '-');
        open = false;
    };
    return over_page_tables(
        monitor, out,
        [&](const TableEntry& entry) {
            if (!entry.leaf || !range->meets(entry)) return;
            if (open && (entry.first.value != end || entry.user != user || entry.writable != writable))
                close();
            if (!open) start = entry.first.value, user = entry.user, writable = entry.writable, open = true;
            end = entry.first.value + entry.span;
        },
        close);
}

Expected<std::string> info_pg(Monitor& monitor, const MonitorArguments&) {
    std::string out = "VPN range     Entry         Flags        Physical page\n";
    unsigned top = 0;
    Run run;
    return over_page_tables(
        monitor, out,
        [&](const TableEntry& entry) {
            top = std::max(top, entry.level);
            if (!run.continues(entry)) {
                show_run(run, top, out);
                run = {entry, entry.index, 0};
            }
            run.last_index = entry.index;
            ++run.count;
        },
        [&] { show_run(run, top, out); });
}

}  // namespace shadowbox
