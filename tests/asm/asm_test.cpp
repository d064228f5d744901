// SPDX-License-Identifier: MIT
// Runs every guest in the matrix: the budget whole, one instruction at a time, and in random slices, and
// translated (cpu/jit) whole and in slices. Each must report success, and all must end in the same state with
// the same count.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include "guest_machine.h"
#include "guests.h"

using namespace shadowbox;
using namespace shadowbox::asm_test;

namespace {

GuestResult run(const Guest& guest, Slicing slicing, u64 seed, bool translate = false,
                bool small_cache = false, bool host_clock = false) {
    return GuestMachine(guest.vcpus, "asm/" + guest.name, translate, guest.v3, small_cache, host_clock)
        .run(image_of(guest), slicing, seed);
}

void check_end(const Guest& guest, const GuestResult& result, const char* how) {
    INFO(guest.name << ", " << how << "\n" << result.story);
    if (guest.shutdown) {
        CHECK(result.shutdown);
    } else {
        CHECK_FALSE(result.shutdown);
        CHECK(result.reported == 0);  // else: the number of the check in the guest's source
    }
}

}  // namespace

TEST_CASE("asm: every guest reports success, and the same however its budget is cut") {
    for (const Guest& guest : guests()) {
        GuestResult whole = run(guest, Slicing::kWhole, 0);
        check_end(guest, whole, "budget whole");
        GuestResult single = run(guest, Slicing::kSingle, 0);
        check_end(guest, single, "one instruction at a time");
        {
            INFO(guest.name << ": whole and single");
            CHECK(whole.state == single.state);
        }
        for (u64 seed : {1, 2, 3}) {
            GuestResult sliced = run(guest, Slicing::kRandom, seed);
            INFO(guest.name << ": slices, seed " << seed);
            CHECK(sliced.state == whole.state);
        }
        for (u64 seed : {0, 4, 5}) {
            GuestResult translated = run(guest, seed ? Slicing::kRandom : Slicing::kWhole, seed, true);
            INFO(guest.name << ": translated from the first execution on, seed " << seed);
            CHECK(translated.state == whole.state);
        }
        for (Slicing slicing : {Slicing::kWhole, Slicing::kRandom}) {
            if (guest.host_clock)
                check_end(guest, run(guest, slicing, 7, true, false, true),
                          "translated, under the host clock");
        }
        for (bool translate : {false, true}) {
            GuestResult evicted = run(guest, Slicing::kRandom, 6, translate, true);
            INFO(guest.name << ": with the smallest code cache, "
                            << (translate ? "translated" : "interpreted"));
            CHECK(evicted.state == whole.state);
        }
    }
}
