// SPDX-License-Identifier: MIT
// Page tables in a device's memory.
#include "mmu/device_tables.h"

#include <catch2/catch.hpp>
#include <map>

#include "mmu/guest_memory.h"
#include "mmu/page_walk.h"
#include "mmu/zero_fill_pager.h"

using namespace shadowbox;

namespace {

/// 4-byte words at A0000H; everything else is all ones.
class Display final : public MachineBus, public GuestClock {
 public:
    std::map<u64, u32> words;
    bool read_only = false;
    unsigned reads = 0, writes = 0;

    u64 mmio_read(Gpa where, unsigned) override {
        ++reads;
        auto found = words.find(where.value);
        return 0xFFFFFFFF00000000 | (found == words.end() ? 0xFFFFFFFF : found->second);
    }
    void mmio_write(Gpa where, unsigned, u64 value) override {
        ++writes;
        if (!read_only) words[where.value] = static_cast<u32>(value);
    }
    u32 port_read(u16, unsigned) override { return ~0u; }
    void port_write(u16, unsigned, u32) override {}
    u8 acknowledge_pic() override { return 0; }
    void run_exclusive(std::function<void()> work) override { work(); }
    const GuestClock& clock() const override { return *this; }
    GuestNs now() const override { return 0; }
    u64 wall_base_seconds() const override { return 0; }
};

struct Walker {
    std::unique_ptr<MachinePool> pool = std::move(*MachinePool::create(64, 256));
    ZeroFillPager pager;
    GuestMemory memory{*pool, pager, VmId(1)};
    Display display;
    DeviceTables devices;
    PagingControl control;
    Walker() {
        memory.map_ram(Ppn(0), 16);
        devices.set_bus(display);
        control.cr0 = 0x80010001;
        control.cr3 = 0xA4000;
        display.words[0xA4000] = 0xA5003;
        display.words[0xA5004] = 0x2003;
    }
    /// Walks, waiting as a vCPU does; the walk's last result.
    WalkResult walk(bool write) {
        for (int turn = 0; turn < 20; ++turn) {
            WalkResult result = walk_page_tables(control, memory, Gva(0x1000), {.write = write}, &devices);
            if (result || !result.error().wait) return result;
            CHECK(devices.wanted());
            devices.fetch();
        }
        FAIL("the walk never ends");
        return tl::unexpected(WalkFailure{});
    }
};

}  // namespace

TEST_CASE("device tables: a walk through them gives the page and sets A and D") {
    Walker t;
    WalkResult read = t.walk(false);
    REQUIRE(read);
    CHECK(read->ppn == Ppn(2));
    CHECK(t.display.words[0xA4000] == 0xA5023);
    CHECK(t.display.words[0xA5004] == 0x2023);
    t.devices.forget();
    REQUIRE(t.walk(true));
    CHECK(t.display.words[0xA4000] == 0xA5023);
    CHECK(t.display.words[0xA5004] == 0x2063);
}

TEST_CASE("device tables: an entry is read once a walk, and again for the next") {
    Walker t;
    REQUIRE(t.walk(false));
    const unsigned first = t.display.reads;
    REQUIRE(t.walk(false));
    CHECK(t.display.reads == first);
    t.devices.forget();
    t.display.words[0xA5004] = 0;
    WalkResult gone = t.walk(false);
    REQUIRE_FALSE(gone);
    CHECK_FALSE(gone.error().wait);
    CHECK(gone.error().error_code == 0);
}

TEST_CASE("device tables: an entry that changes before its A bit is set is judged again") {
    Walker t;
    WalkResult result = walk_page_tables(t.control, t.memory, Gva(0x1000), {}, &t.devices);
    for (int turn = 0; turn < 2; ++turn) {
        t.devices.fetch();
        result = walk_page_tables(t.control, t.memory, Gva(0x1000), {}, &t.devices);
    }
    REQUIRE(t.devices.wanted());  // to set A in the directory
    t.display.words[0xA4000] = 0;
    t.devices.fetch();
    CHECK(t.display.words[0xA4000] == 0);
    WalkResult again = t.walk(false);
    REQUIRE_FALSE(again);
    CHECK(again.error().error_code == 0);
}

TEST_CASE("device tables: a device that keeps no A bit does not hold the walk up") {
    Walker t;
    t.display.read_only = true;
    CHECK(t.walk(true));
}

TEST_CASE("device tables: without a bus entries are all ones, as from nowhere") {
    Walker t;
    DeviceTables none;
    u64 value = 0;
    CHECK(none.load(Gpa(0xA4000), 4, value) == PageOutcome::kReady);
    CHECK(value == 0xFFFFFFFF);
    bool swapped = false;
    CHECK(none.compare_exchange(Gpa(0xA4000), 4, 1, 2, swapped) == PageOutcome::kReady);
    CHECK(swapped);
}
