// SPDX-License-Identifier: MIT
#include "ui/pool_table.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/host/terminal.h"
#include "core/host/thread.h"
#include "ui/size_text.h"
#include "vmm/host.h"
#include "vmm/virtual_machine.h"

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

PoolTable::PoolTable(Host& host) : host_(host), in_place_(is_terminal(2)), thread_([this] { main(); }) {}

PoolTable::~PoolTable() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void PoolTable::draw() {
    std::string text = pool_table_text(host_);
    if (text == shown_) return;
    // Up over the last drawing, each line cleared as it is written.
    std::string out;
    if (in_place_ && !shown_.empty())
        out += fmt::format("\x1b[{}A", std::count(shown_.begin(), shown_.end(), '\n'));
    for (char c : text) {
        if (c == '\n' && in_place_) out += "\x1b[K\r";
        out += c;
    }
    std::fwrite(out.data(), 1, out.size(), stderr);
    std::fflush(stderr);
    shown_ = text;
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
