// SPDX-License-Identifier: MIT
// Access tracking by epochs: exact for every way by which a page is reached.
#include <catch2/catch.hpp>
#include <set>

#include "core/seeded_random.h"
#include "mmu_fixture.h"

using namespace shadowbox;
using Stamp = PageEpochs::Stamp;

TEST_CASE("epochs: off costs nothing and says nothing; numbers are not used twice") {
    Machine m;
    m.store(0x5000, 1);
    const PageEpochs& epochs = m.guest.memory.epochs();
    CHECK(epochs.at(Ppn(5)) == Stamp{});
    m.guest.memory.next_epoch();
    CHECK(epochs.now() == 1);
    m.store(0x5000, 1);
    m.guest.memory.stop_epochs();
    m.guest.memory.next_epoch();
    CHECK(epochs.now() == 2);
    CHECK(epochs.at(Ppn(5)) == Stamp{1, 1});
    CHECK(epochs.at(Ppn(1 << 20)) == Stamp{});
}

TEST_CASE("epochs: an access that hits in the TLB counts in each epoch") {
    Machine m;
    const PageEpochs& epochs = m.guest.memory.epochs();
    m.store(0x5000, 1);
    for (u32 epoch = 1; epoch <= 3; ++epoch) {
        m.guest.memory.next_epoch();
        CHECK(epochs.running().accessed == 0);
        CHECK(m.load(0x5000) == 1);
        CHECK(epochs.at(Ppn(5)) == Stamp{epoch, 0});
        CHECK(m.load(0x5008) == 0);
        CHECK(epochs.running().accessed == 1);
        CHECK(epochs.running().dirtied == 0);
    }
    m.store(0x5000, 2);
    CHECK(epochs.at(Ppn(5)) == Stamp{3, 3});
    m.guest.memory.next_epoch();
    CHECK(epochs.ended().accessed == 1);
    CHECK(epochs.ended().dirtied == 1);
}

TEST_CASE("epochs: reading gives no right to write, so a page that is only read is never dirtied") {
    Machine m;
    m.store(0x5000, 1);
    m.guest.memory.next_epoch();
    (void)m.load(0x5000);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
    CHECK(m.mmu.resolve(Gva(0x5000), 8, MemoryAccess::kRead, false, VcpuMmu::FillSides::kBoth).kind ==
          Resolved::Kind::kHost);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
    m.store(0x5000, 2);
    REQUIRE(m.mmu.context()->probe_write(0x5000, 8));
    (void)m.load(0x5000);  // nor does reading take it away
    CHECK(m.mmu.context()->probe_write(0x5000, 8));
    m.guest.memory.stop_epochs();
}

TEST_CASE("epochs: devices, pins, page walks and A/D bits are accesses") {
    Machine m;
    m.long_mode();
    m.map(0x400000, 0x5000, Machine::kP | Machine::kW);
    const u64 table = m.entry_place(0x400000, 12) >> 12;
    const PageEpochs& epochs = m.guest.memory.epochs();
    m.guest.memory.next_epoch();
    (void)m.load(0x400000);
    CHECK(epochs.at(Ppn(table)) == Stamp{1, 1});  // the walk set A
    CHECK(epochs.at(Ppn(5)) == Stamp{1, 0});
    m.guest.memory.next_epoch();
    (void)m.load(0x400000);
    CHECK(epochs.at(Ppn(table)) == Stamp{1, 1});  // from the shadow table: no walk
    m.mmu.invlpg(Gva(0x400000));
    (void)m.load(0x400000);
    CHECK(epochs.at(Ppn(table)) == Stamp{2, 1});
    m.guest.memory.next_epoch();
    (void)m.guest.load(0x6000);  // untouched: nothing is there to be accessed
    m.guest.store(0x7000, 1);
    CHECK(epochs.at(Ppn(7)) == Stamp{3, 3});
    (void)m.guest.load(0x7000);
    {
        PinnedPage pin = m.guest.memory.pin(Ppn(8), PageAccess::kWrite);
        CHECK(epochs.at(Ppn(8)) == Stamp{3, 3});
        m.guest.memory.next_epoch();
    }
    CHECK(epochs.at(Ppn(8)) == Stamp{4, 4});  // held by the device until then
    u8 byte;
    m.guest.memory.peek(Gpa(0x5000), {&byte, 1});
    CHECK(epochs.at(Ppn(5)) == Stamp{2, 0});  // a viewer is not the guest
}

TEST_CASE("epochs: what is counted is what a trace of all accesses says") {
    Machine m(256);
    const PageEpochs& epochs = m.guest.memory.epochs();
    SeededRandom random(7);
    for (u32 epoch = 1; epoch <= 50; ++epoch) {
        m.guest.memory.next_epoch();
        std::set<u64> read, written;
        for (u64 i = random.below(600); i > 0; --i) {
            const u64 page = random.below(256), gva = page * kPageSize + 8 * random.below(512);
            if (random.one_in(3)) {
                m.store(gva, i);
                written.insert(page);
            } else {
                (void)m.load(gva);
                read.insert(page);
            }
        }
        for (u64 page = 0; page < 256; ++page) {
            const Stamp stamp = epochs.at(Ppn(page));
            REQUIRE((stamp.dirtied == epoch) == (written.count(page) == 1));
            REQUIRE((stamp.accessed == epoch) == (read.count(page) + written.count(page) > 0));
        }
        CHECK(epochs.running().dirtied == written.size());
        read.merge(written);
        CHECK(epochs.running().accessed == read.size());
    }
}
