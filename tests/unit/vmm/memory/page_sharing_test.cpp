// SPDX-License-Identifier: MIT
// Pages of equal content find each other, of one guest or of several, and nobody sees a byte change.
#include "vmm/memory/page_sharing.h"

#include <algorithm>

#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

constexpr u64 kAllPages = 1 << 20;

/// Guests that stand still, with what the test writes into their memories.
struct Guests {
    FirmwareHost machines{true};
    PageSharing sharing{*machines.host, {}};

    VmHandle add(const std::string& name) { return machines.add(name, {0xEB, 0xFE}); }
    static void fill(VirtualMachine& vm, u64 page, u8 byte) {
        REQUIRE(vm.memory().write(Gpa(page << kPageShift), std::vector<u8>(kPageSize, byte)));
    }
    static u8 first_byte(VirtualMachine& vm, u64 page) {
        u8 byte = 0;
        REQUIRE(vm.memory().peek(Gpa(page << kPageShift), std::span(&byte, 1)));
        return byte;
    }
    static PageState state(VirtualMachine& vm, u64 page) {
        return vm.memory().pmap().load(Ppn(page)).state();
    }
    static Mpn mpn(VirtualMachine& vm, u64 page) { return vm.memory().pmap().load(Ppn(page)).mpn(); }
};

}  // namespace

TEST_CASE("scan order: every number once a round, in an order that is not theirs") {
    for (u64 count : {1, 2, 3, 255, 256, 257, 5000}) {
        INFO(count);
        ScanOrder order(count, 0x1234567890ABCDEF);
        std::vector<u64> first, second;
        for (u64 i = 0; i < count; ++i) first.push_back(order.next());
        CHECK(order.rounds() == 1);
        for (u64 i = 0; i < count; ++i) second.push_back(order.next());
        CHECK(order.rounds() == 2);
        CHECK(first == second);
        CHECK((count < 255 || !std::is_sorted(first.begin(), first.end())));
        std::sort(first.begin(), first.end());
        for (u64 i = 0; i < count; ++i) REQUIRE(first[i] == i);
    }
}

TEST_CASE(
    "sharing: equal pages of two guests get one machine page, and one writes without the other seeing") {
    Guests t;
    VmHandle ada = t.add("ada"), grace = t.add("grace");
    for (u64 page = 16; page < 48; ++page) {
        t.fill(*ada, page, static_cast<u8>(page));
        t.fill(*grace, page, static_cast<u8>(page));
    }
    const u64 used = t.machines.in_use(), ada_hash = ada->memory().content_hash(),
              grace_hash = grace->memory().content_hash();
    t.sharing.scan(kAllPages);
    CHECK(t.machines.in_use() <= used - 32);
    CHECK(t.sharing.counts().shared >= 32);
    CHECK(t.sharing.counts(grace->id()).shared >= 32);
    CHECK(ada->memory().content_hash() == ada_hash);
    CHECK(grace->memory().content_hash() == grace_hash);
    for (u64 page = 16; page < 48; ++page) REQUIRE(t.mpn(*ada, page) == t.mpn(*grace, page));
    t.fill(*ada, 20, 0xAA);
    CHECK(t.first_byte(*grace, 20) == 20);
    CHECK(t.first_byte(*ada, 20) == 0xAA);
    // Once more: what is shared is not looked at again.
    const u64 shared = t.sharing.counts().shared;
    t.sharing.scan(kAllPages);
    CHECK(t.sharing.counts().shared == shared);
}

TEST_CASE("sharing: equal pages of one guest, whichever of them is looked at first") {
    Guests t;
    VmHandle vm = t.add("ada");
    for (u64 page : {17, 40, 99, 130}) t.fill(*vm, page, 0x5A);
    t.sharing.scan(kAllPages);
    for (u64 page : {40, 99, 130}) CHECK(t.mpn(*vm, page) == t.mpn(*vm, 17));
    CHECK(t.machines.host->pool().references(t.mpn(*vm, 17)) == 4);
}

TEST_CASE("sharing: zeros become the zero page and take no machine page") {
    Guests t;
    VmHandle vm = t.add("ada");
    for (u64 page = 16; page < 32; ++page) t.fill(*vm, page, 0);
    const u64 used = t.machines.in_use();
    t.sharing.scan(kAllPages);
    CHECK(t.sharing.counts().zero >= 16);
    CHECK(t.machines.in_use() <= used - 16);
    CHECK(t.state(*vm, 16) == PageState::kZero);
    t.fill(*vm, 16, 7);
    CHECK(t.first_byte(*vm, 16) == 7);
    CHECK(t.first_byte(*vm, 17) == 0);
}

TEST_CASE("sharing: guests of different trust groups share the zero page only") {
    Guests t;
    t.machines.trust_group = "red";
    VmHandle red = t.add("red1"), also_red = t.add("red2");
    t.machines.trust_group = "blue";
    VmHandle blue = t.add("blue");
    for (const VmHandle& vm : {red, also_red, blue}) t.fill(*vm, 20, 0x77), t.fill(*vm, 21, 0);
    t.sharing.scan(kAllPages);
    CHECK(t.mpn(*red, 20) == t.mpn(*also_red, 20));
    CHECK(t.mpn(*red, 20) != t.mpn(*blue, 20));
    CHECK(t.state(*blue, 20) == PageState::kResident);
    CHECK(t.state(*blue, 21) == PageState::kZero);
}

TEST_CASE("sharing: a hint whose page changed is not believed") {
    Guests t;
    VmHandle ada = t.add("ada");
    t.fill(*ada, 20, 0x77);
    t.sharing.scan(kAllPages);  // leaves a hint
    t.fill(*ada, 20, 0x78);
    VmHandle grace = t.add("grace");
    t.fill(*grace, 30, 0x77);
    t.sharing.scan(kAllPages);
    CHECK(t.sharing.counts().stale >= 1);
    CHECK(t.state(*grace, 30) == PageState::kResident);
    CHECK(t.first_byte(*grace, 30) == 0x77);
}

TEST_CASE("sharing: hints of a guest that ended lead nowhere") {
    Guests t;
    VmHandle ada = t.add("ada");
    for (u64 page = 16; page < 40; ++page) t.fill(*ada, page, static_cast<u8>(page));
    t.sharing.scan(kAllPages);
    CHECK(t.sharing.index_counts().hints >= 24);
    t.machines.host->remove(ada);
    ada.reset();
    VmHandle grace = t.add("grace");
    for (u64 page = 16; page < 40; ++page) t.fill(*grace, page, static_cast<u8>(page));
    t.sharing.scan(kAllPages);
    CHECK(t.sharing.counts(grace->id()).shared == 0);
    CHECK(t.sharing.counts().looked_at >= 48);  // the ended guest's stay in the sum
}

TEST_CASE("sharing: more equal pages than one machine page can have owners get a second one") {
    Guests t;
    std::vector<VmHandle> vms;
    for (const char* name : {"a", "b", "c", "d"}) vms.push_back(t.add(name));
    for (const VmHandle& vm : vms)
        for (u64 page = 0; page < 150; ++page) t.fill(*vm, page, 0x31);
    const u64 used = t.machines.in_use();
    t.sharing.scan(kAllPages);
    t.sharing.scan(kAllPages);
    CHECK(used - t.machines.in_use() >= 4 * 150 - 3);
}

TEST_CASE("sharing: as a service it looks at so many pages a second of guest time") {
    FirmwareHost machines(true);
    PageSharing sharing(*machines.host, {100, 100, 1000});
    VmHandle vm = machines.add("ada", touching(kFirstSegment, kEndSegment));
    sharing.start();
    vm->start();
    vm->resume();
    wait_until([&] { return vm->clock().now() > 1'000'000'000; });
    vm->pause();
    const GuestNs until = vm->clock().now();
    const u64 looked_at = sharing.counts().looked_at;
    CHECK(looked_at > 80);
    CHECK(static_cast<double>(looked_at) <= 1 + 100e-9 * static_cast<double>(until));
    sharing.stop();
    CHECK_FALSE(sharing.running());
}
