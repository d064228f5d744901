// SPDX-License-Identifier: MIT
// Requests to vCPUs that sleep: what may be thrown together, and what must not be.
#include "mmu/safepoint.h"

#include <algorithm>

#include "mmu_fixture.h"

using namespace shadowbox;

namespace {

struct WholePages : CodeWriteListener {
    std::vector<u64> pages;
    void code_written(Ppn ppn, u32, u32 size) override {
        if (size == kPageSize) pages.push_back(ppn.value);
    }
};

/// Two vCPUs, both played by this thread.
struct TwoVcpus {
    Machine m;
    VcpuMmu second{m.guest.memory};
    SafepointParticipant a, b;
    WholePages reported;
    TwoVcpus() {
        m.guest.memory.set_code_listener(&reported);
        domain().add(a, m.mmu);
        domain().add(b, second);
    }
    ~TwoVcpus() {
        domain().remove(a);
        domain().remove(b);
        m.guest.memory.set_code_listener(nullptr);
    }
    SafepointDomain& domain() { return m.guest.memory.safepoints(); }
    void give_write_right(u64 gva) {
        b.enter();
        REQUIRE(second.resolve(Gva(gva), 8, MemoryAccess::kWrite).kind == Resolved::Kind::kHost);
        b.leave();
    }
};

}  // namespace

TEST_CASE("safepoint: a store into code just marked is reported however many requests a sleeper then gets") {
    const int posts = GENERATE(0, 10, 63, 64, 65, 70, 1000);
    const int marks = GENERATE(1, 3);
    TwoVcpus t;
    for (u64 page = 0; page < 3; ++page) t.give_write_right(0x5000 + page * kPageSize);
    t.b.enter();
    t.a.enter();
    for (int i = 0; i < marks; ++i) t.m.guest.memory.mark_code(Ppn(5 + static_cast<u64>(i)), 0, 64, &t.a);
    for (int i = 0; i < marks; ++i) {
        u8* host = t.second.context()->probe_write(0x5000 + static_cast<u64>(i) * kPageSize, 8);
        REQUIRE(host);
        guest_store<u64>(host, 0xC3C3C3C3);
    }
    t.b.leave();
    for (int i = 0; i < posts; ++i) t.domain().post(DropRequest{{Ppn(100)}}, &t.a);
    t.a.leave();
    CHECK(t.reported.pages.empty());
    t.b.enter();
    for (int i = 0; i < marks; ++i) {
        const u64 page = 5 + static_cast<u64>(i);
        CHECK(std::count(t.reported.pages.begin(), t.reported.pages.end(), page) >= 1);
        CHECK_FALSE(t.m.guest.entry(page).written());
    }
    CHECK(t.second.context()->probe_write(0x5000, 8) == nullptr);
    t.b.leave();
}

TEST_CASE("safepoint: requests to drop everything and marks keep all of a sleeper's other pages dropped") {
    TwoVcpus t;
    t.give_write_right(0x9000);
    for (int i = 0; i < 200; ++i) t.domain().post(DropRequest{{Ppn(9)}}, &t.a);
    t.b.enter();
    CHECK(t.second.context()->probe_read(0x9000, 8) == nullptr);
    CHECK(t.second.context()->probe_write(0x9000, 8) == nullptr);
    t.b.leave();
}
