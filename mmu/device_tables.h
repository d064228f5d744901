// SPDX-License-Identifier: MIT
// Page tables that lie in a device's memory (the display's window at A0000H): their entries come over the
// bus. A bus access leaves guest code, where remapping may happen, so a walk does not make it: it notes what
// it wants and waits as for a page; wait_for_page() makes the access, and the walk of the restarted
// instruction finds the entry here. One vCPU's, on its thread.
#pragma once

#include <optional>
#include <vector>

#include "mmu/machine_bus.h"
#include "mmu/pager.h"

namespace shadowbox {

class DeviceTables {
 public:
    /// Without a bus entries read as all ones and cannot be changed.
    void set_bus(MachineBus& bus) { bus_ = &bus; }

    PageOutcome load(Gpa where, unsigned size, u64& value);
    /// For A and D bits.
    PageOutcome compare_exchange(Gpa where, unsigned size, u64 expected, u64 desired, bool& swapped);

    bool wanted() const { return wanted_.has_value(); }
    /// Of the device that is wanted.
    MemoryAnswer hold_pages() { return bus_->hold_pages(wanted_->where); }
    /// Makes the access that is wanted; not inside guest code.
    void fetch();
    /// A walk succeeded, its fault was delivered, or what translations come from changed: the next walk reads
    /// again. Not when a walk faults: who asked may only have tried, and leaves the fault to somebody else.
    void forget() {
        if (!known_.empty()) known_.clear();
        wanted_.reset();
    }

 private:
    struct Entry {
        Gpa where;
        u64 value = 0;
    };
    struct Access {
        Gpa where;
        unsigned size = 0;
        bool write = false;
        u64 expected = 0, desired = 0;
    };
    Entry* find(Gpa where);

    MachineBus* bus_ = nullptr;
    std::vector<Entry> known_;
    std::optional<Access> wanted_;
};

}  // namespace shadowbox
