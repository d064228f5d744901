// SPDX-License-Identifier: MIT
#include "vmm/machine/late_ticks.h"

#include <algorithm>

#include "cpu/apic/local_apic.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/board.h"

namespace shadowbox {

namespace {
/// Less than a handler of a timer interrupt has: the next tick waits when it returns.
constexpr i64 kShortSlice = 200;
}  // namespace

void TickDebt::owe(u64 ticks, GuestNs now) {
    if (!ticks) return;
    owed_ = std::min(owed_ + ticks, kMost);
    last_ = now;
}

bool TickDebt::any(GuestNs now) {
    if (owed_ && now - last_ > kForgotten) owed_ = 0;
    return owed_ != 0;
}

LateTicks::LateTicks(Vcpu& vcpu, Board& board, std::mutex& device_lock)
    : vcpu_(vcpu),
      board_(board),
      device_lock_(device_lock),
      sources_{{&board.pit, board.pit.ticks_due(), {}}, {&board.hpet, board.hpet.ticks_due(), {}}},
      source_count_(vcpu.index == 0 ? 2 : 0) {}

i64 LateTicks::look(GuestNs now, i64 usual) {
    i64 slice = usual;
    local_.owe(vcpu_.apic->take_missed_ticks(), now);
    if (local_.any(now)) {
        if (!vcpu_.apic->timer_tick_waits()) {
            vcpu_.apic->tick_again();
            vcpu_.apic->timer_tick_waits() ? local_.paid() : local_.forget();
        }
        slice = kShortSlice;
    }
    for (Source& source : std::span(sources_, source_count_)) {
        u64 due = source.timer->ticks_due();
        // One of those that came since the last look waits, or was taken.
        if (due > source.seen + 1) source.debt.owe(due - source.seen - 1, now);
        source.seen = due;
        if (!source.debt.any(now)) continue;
        give(source);
        slice = kShortSlice;
    }
    return slice;
}

void LateTicks::give(Source& source) {
    OutsideScope outside(SafepointDomain::current());
    std::unique_lock lock(device_lock_, std::try_to_lock);
    if (!lock || tick_waits()) return;
    source.timer->tick_again();
    // Masked at both controllers: the guest does not count them.
    tick_waits() ? source.debt.paid() : source.debt.forget();
}

/// By way of the PIC or of the IOAPIC, whose vector for it is the guest's affair: any vector will do.
bool LateTicks::tick_waits() const { return board_.pic.request_waits(0) || vcpu_.apic->any_waits(); }

}  // namespace shadowbox
