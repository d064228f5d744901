// SPDX-License-Identifier: MIT
#include "vmm/memory/admission.h"

namespace shadowbox {

namespace {
std::string mib(u64 bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }
}  // namespace

MemoryPromise& MemoryPromise::operator+=(const MemoryPromise& other) {
    min += other.min, max += other.max, overhead += other.overhead;
    return *this;
}

Expected<void> admit(const std::string& name, const MemoryPromise& guest, const MemoryPromise& promised,
                     const MemorySupply& supply) {
    if (guest.min > guest.max)
        return make_error(ErrorCode::kInvalidArgument,
                          "guest '{}': its minimum of {} is more than its memory of {}", name, mib(guest.min),
                          mib(guest.max));
    const u64 need = guest.min + guest.overhead, taken = promised.min + promised.overhead + supply.reserve;
    if (need + taken > supply.pool)
        return make_error(
            ErrorCode::kInvalidArgument,
            "guest '{}' does not fit: its minimum {} and its overhead {} make {}, and of the pool's {} the "
            "other guests have {} and the reserve {}; lower min=, or raise --pool",
            name, mib(guest.min), mib(guest.overhead), mib(need), mib(supply.pool),
            mib(taken - supply.reserve), mib(supply.reserve));
    const u64 rest = guest.max - guest.min, swapped = promised.max - promised.min;
    // What all have together may fit into memory: then nobody is ever swapped out.
    if (need + taken + rest + swapped <= supply.pool) return {};
    if (rest + swapped > supply.swap)
        return make_error(
            ErrorCode::kInvalidArgument,
            "guest '{}' does not fit: beyond its minimum it may have {}, and of the swap's {} the other "
            "guests have {}; raise swap-size= or min=",
            name, mib(rest), mib(supply.swap), mib(swapped));
    return {};
}

}  // namespace shadowbox
