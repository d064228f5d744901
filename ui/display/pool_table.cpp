// SPDX-License-Identifier: MIT
#include "ui/display/pool_table.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/host/terminal.h"
#include "core/host/thread.h"
#include "ui/options/size_text.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

double mib(u64 pages) { return static_cast<double>(pages) / 256; }

std::string bar(u64 part, u64 whole, unsigned width) {
    unsigned full = whole ? static_cast<unsigned>(std::min<u64>(width, part * width / whole)) : 0;
    return std::string(full, '#') + std::string(width - full, '.');
}

}  // namespace

std::string pool_table_text(Host& host) {
    PoolTotals totals = host.pool().totals();
    std::string out =
        fmt::format("pool {:>9.1f} of {:>9.1f} MiB  [{}] peak {:.1f}\n", mib(totals.in_use),
                    mib(totals.capacity), bar(totals.in_use, totals.capacity, 24), mib(totals.peak_in_use));
    out += fmt::format("{:<15} {:<8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>7}\n", "guest (MiB)", "state", "memory",
                       "private", "shared", "zero", "untouched", "other");
    for (auto& vm : host.vms()) {
        Pmap::Counts counts = vm->memory().pmap().count();
        auto of = [&](PageState state) { return counts.by_state[static_cast<unsigned>(state)]; };
        u64 own = of(PageState::kResident) + of(PageState::kRom);
        u64 other = of(PageState::kPatched) + of(PageState::kCompressed) + of(PageState::kSwapped) +
                    of(PageState::kBallooned);
        out += fmt::format("{:<15} {:<8} {:>8} {:>8.1f} {:>8.1f} {:>8.1f} {:>9.1f} {:>7.1f}\n",
                           vm->name().substr(0, 15), vm_state_name(vm->state()),
                           vm->config().memory_bytes >> 20, mib(own), mib(of(PageState::kShared)),
                           mib(of(PageState::kZero)), mib(of(PageState::kUntouched)), mib(other));
    }
    return out;
}

PoolTable::PoolTable(Host& host) : host_(host), thread_([this] { main(); }) {}

PoolTable::~PoolTable() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    thread_.join();
    // The whole terminal scrolls again, and the shell goes on below the table.
    if (area_.lines) std::fputs("\x1b[r\x1b[999;1H\n", stderr);
}

// ECMA-48 and DEC: ESC 7 and 8 save and restore the cursor, CSI t;b r is the part that scrolls, CSI y;x H
// places the cursor, CSI K clears to the end of the line, CSI J to the end of the screen. One write, so that
// no console's line falls into it.
std::string pool_table_at_bottom(const std::string& text, TerminalSize size, PoolTableArea& area) {
    unsigned height = static_cast<unsigned>(std::count(text.begin(), text.end(), '\n'));
    std::string out;
    bool resized = area.lines && area.size != size;
    if (resized) {
        // Where the terminal left the old table nobody can say; a console's line is written below all it
        // shows.
        out += fmt::format("\x1b[r\x1b[{};1H", size.lines);
        if (size.lines > area.size.lines)  // it lies where it was
            out = fmt::format("\x1b[r\x1b[{};1H\x1b[J", area.size.lines - area.lines + 1);
        else
            out += "\r\x1b[K";
        area.lines = 0;
    }
    if (height > area.lines)
        out += std::string(height - area.lines, '\n') + fmt::format("\x1b[{}A", height - area.lines);
    area.lines = std::max(area.lines, height);
    area.size = size;
    out += fmt::format(
        "\x1b"
        "7\x1b[1;{}r\x1b[{};1H",
        size.lines - area.lines, size.lines - area.lines + 1);
    unsigned column = 0;
    for (char c : text.substr(0, text.size() - 1)) {
        if (c == '\n')
            out += "\x1b[K\r\n", column = 0;
        else if (size.columns == 0 || column++ < size.columns - 1)  // a longer line would wrap and scroll
            out += c;
    }
    return out +
           "\x1b[K\x1b"
           "8";
}

void PoolTable::draw() {
    std::string text = pool_table_text(host_);
    TerminalSize size{terminal_lines(2), terminal_columns(2)};
    if (text == shown_ && size == shown_size_) return;
    shown_ = text;
    shown_size_ = size;
    unsigned height = static_cast<unsigned>(std::count(text.begin(), text.end(), '\n'));
    constexpr unsigned kFewestLines = 8;  // below, the consoles would have no room
    if (size.lines >= kFewestLines + height)
        text = pool_table_at_bottom(text, size, area_);
    else if (area_.lines)
        text = "\x1b[r\x1b[999;1H", area_ = {};  // too small now: all of it is the consoles'
    else if (size.lines)
        return;
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

void PoolTable::main() {
    name_thread("pool-table");
    std::unique_lock lock(mutex_);
    while (!ending_) {
        lock.unlock();
        draw();
        lock.lock();
        changed_.wait_for(lock, std::chrono::seconds(1), [this] { return ending_; });
    }
    draw();
}

}  // namespace shadowbox
