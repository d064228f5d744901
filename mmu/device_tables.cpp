// SPDX-License-Identifier: MIT
#include "mmu/device_tables.h"

namespace shadowbox {

DeviceTables::Entry* DeviceTables::find(Gpa where) {
    for (Entry& entry : known_)
        if (entry.where == where) return &entry;
    return nullptr;
}

PageOutcome DeviceTables::load(Gpa where, unsigned size, u64& value) {
    if (!bus_) {
        value = size == 8 ? ~u64{0} : u64{0xFFFF'FFFF};
        return PageOutcome::kReady;
    }
    if (const Entry* entry = find(where)) {
        value = entry->value;
        return PageOutcome::kReady;
    }
    wanted_ = Access{where, size};
    return PageOutcome::kWait;
}

PageOutcome DeviceTables::compare_exchange(Gpa where, unsigned size, u64 expected, u64 desired,
                                           bool& swapped) {
    swapped = !bus_;  // what cannot be written counts as written: the walk goes on
    const Entry* entry = find(where);
    if (!bus_ || !entry || entry->value != expected) return PageOutcome::kReady;
    wanted_ = Access{where, size, true, expected, desired};
    return PageOutcome::kWait;
}

void DeviceTables::fetch() {
    const Access access = *wanted_;
    wanted_.reset();
    u64 value = bus_->mmio_read(access.where, access.size);
    if (access.size == 4) value = static_cast<u32>(value);
    if (access.write && value == access.expected) {
        bus_->mmio_write(access.where, access.size, access.desired);
        // What the device does not keep would be asked for again and again.
        value = access.desired;
    }
    if (Entry* entry = find(access.where))
        entry->value = value;
    else
        known_.push_back({access.where, value});
}

}  // namespace shadowbox
