// SPDX-License-Identifier: MIT
// Guest pages that are away, pools that are full, and where requests wait for them.
#pragma once

#include <utility>
#include <vector>

#include "devices/bus/page_waits.h"
#include "tests/pool_hog.h"

namespace shadowbox::test {

/// What was parked runs when the test says so.
struct ParkingLot final : PageWaits {
    void park(GuestMemory&, MemoryAnswer answer, std::function<void()> again) override {
        last = answer;
        parked.push_back(std::move(again));
    }
    void run() {
        for (auto& again : std::exchange(parked, {})) again();
    }
    MemoryAnswer last;
    std::vector<std::function<void()>> parked;
};

/// Marks a page as being remapped while it lives: it answers kWait to a write or a pin.
struct Away {
    Away(GuestMemory& memory, u64 where) : memory(memory), ppn(Gpa(where).ppn()) {
        u8 byte = 0;
        memory.read(Gpa(where), std::span(&byte, 1));
        memory.write(Gpa(where), std::span(&byte, 1));
        PmapEntry entry = memory.pmap().lock(ppn);
        memory.pmap().unlock(ppn, entry.with(PmapEntry::kMoving).protect(kProtectMove));
    }
    ~Away() { memory.end_move(ppn); }
    GuestMemory& memory;
    Ppn ppn;
};

/// The page has no machine page while it lives: everybody who wants it, to read too, waits.
struct Gone {
    Gone(GuestMemory& memory, u64 where) : memory(memory), ppn(Gpa(where).ppn()) {
        u8 byte = 0;
        memory.read(Gpa(where), std::span(&byte, 1));
        memory.write(Gpa(where), std::span(&byte, 1));
        before = memory.pmap().lock(ppn);
        memory.pmap().unlock(ppn, PmapEntry::elsewhere(PageState::kSwapped, 1, 1).with(PmapEntry::kMoving));
    }
    ~Gone() {
        memory.pmap().lock(ppn);
        memory.pmap().unlock(ppn, before.with(PmapEntry::kMoving));
        memory.end_move(ppn);
    }
    GuestMemory& memory;
    Ppn ppn;
    PmapEntry before;
};

}  // namespace shadowbox::test
