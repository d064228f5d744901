// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_balloon.h"

#include <catch2/catch.hpp>

#include "virtio_rig.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

struct Rig : VirtioRig<VirtioBalloon> {
    static constexpr unsigned kInflate = 0, kDeflate = 1, kStatistics = 2;
    Rig()
        : VirtioRig([](PciBoard& b) {
              return std::make_unique<VirtioBalloon>(Memory::kPages * 4096, b.memory.guest, b.sink);
          }) {}
    void name(unsigned queue, const std::vector<u32>& pages) {
        for (std::size_t i = 0; i < pages.size(); ++i) put<u32>(kBuffers + i * 4, pages[i]);
        describe(queue, 0, kBuffers, static_cast<u32>(pages.size() * 4), 0);
        offer(queue, 0);
        notify(queue);
    }
    void give_statistics(const std::vector<std::pair<u16, u64>>& values, u16 head = 0) {
        u64 at = kBuffers + 0x1000 + head * 0x100;
        for (std::size_t i = 0; i < values.size(); ++i)
            put<u16>(at + i * 10, values[i].first), put<u64>(at + i * 10 + 2, values[i].second);
        describe(kStatistics, head, at, static_cast<u32>(values.size() * 10), 0);
        offer(kStatistics, head);
        notify(kStatistics);
    }
};

}  // namespace

TEST_CASE(
    "virtio-balloon: a new target interrupts and shows in the configuration; the driver writes what it "
    "holds") {
    Rig r;
    CHECK(r.pci_config(0) == 0x10451AF4);
    CHECK((r.offered() & 7) == 7);
    r.device->set_target(100);
    CHECK(r.device_config(0, 4) == 100);
    CHECK(r.isr() == 0);  // no driver yet
    r.start(3);
    u64 generation = r.common(21, 1);
    r.device->set_target(0x12345);
    CHECK(r.isr() == 2);
    CHECK(r.common(21, 1) != generation);
    CHECK(r.device_config(0, 4) == 0x12345);
    r.mmio.write(Gpa(r.device_window + 4), 4, 0x777);
    CHECK(r.device->actual() == 0x777);
    CHECK(r.device_config(4, 4) == 0x777);
    r.mmio.write(Gpa(r.device_window), 4, 0);  // the target is the host's
    CHECK(r.device->target() == 0x12345);
    r.mmio.write(Gpa(r.device_window + 8), 8, ~u64{0});
    CHECK(r.device_config(8, 8) == 0);
}

TEST_CASE("virtio-balloon: inflating and deflating counts each page once") {
    Rig r;
    r.start(3);
    r.name(Rig::kInflate, {5, 6, 7, 5});
    CHECK(r.device->ballooned() == 3);
    CHECK(r.take_used(Rig::kInflate) == std::pair(0, 0u));
    r.name(Rig::kDeflate, {6, 6, 9});
    CHECK(r.device->ballooned() == 2);
    r.name(Rig::kInflate, {6});
    CHECK(r.device->ballooned() == 3);
    r.set_common(20, 1, 0);
    CHECK(r.device->ballooned() == 0);
    CHECK(r.device->actual() == 0);
}

TEST_CASE("virtio-balloon: pages that are not RAM, odd lengths and lists outside memory change nothing") {
    Quiet quiet;
    Rig r;
    r.start(3);
    unsigned long before = guest_oddity_count("virtio-balloon-page");
    r.name(Rig::kInflate, {static_cast<u32>(Memory::kPages), 0xFFFFFFFF});
    CHECK(r.device->ballooned() == 0);
    CHECK(guest_oddity_count("virtio-balloon-page") == before + 2);
    r.put<u32>(Rig::kBuffers, 3), r.put<u32>(Rig::kBuffers + 4, 4);
    r.describe(Rig::kInflate, 0, Rig::kBuffers, 7, 0);
    r.offer(Rig::kInflate, 0);
    r.notify(Rig::kInflate);
    CHECK(r.device->ballooned() == 1);
    r.describe(Rig::kInflate, 0, u64{1} << 50, 0xFFFFFFFF, 0);
    r.offer(Rig::kInflate, 0);
    r.notify(Rig::kInflate);
    CHECK(r.device->ballooned() == 1);
    CHECK(r.used_count(Rig::kInflate) == 3);
}

TEST_CASE("virtio-balloon: the statistics buffer stays until statistics are asked for") {
    Rig r;
    r.start(3);
    r.device->request_statistics();  // nothing there yet
    r.give_statistics({{4, 1000}, {5, 2000}, {200, 1}});
    CHECK(r.device->statistics() == std::map<u16, u64>{{4, 1000}, {5, 2000}});
    CHECK(r.used_count(Rig::kStatistics) == 0);
    r.device->request_statistics();
    CHECK(r.take_used(Rig::kStatistics) == std::pair(0, 0u));
    r.device->request_statistics();  // it is the driver's turn
    CHECK(r.used_count(Rig::kStatistics) == 1);
    r.give_statistics({{4, 900}});
    CHECK(r.device->statistics().at(4) == 900);
    r.give_statistics({{4, 800}}, 1);  // a second buffer sends the first one back
    CHECK(r.take_used(Rig::kStatistics) == std::pair(0, 0u));
    r.set_common(20, 1, 0);
    r.device->request_statistics();
    CHECK(r.used_count(Rig::kStatistics) == 2);
}

TEST_CASE("virtio-balloon: a loaded balloon knows its pages and gives the statistics buffer back") {
    Rig first, second;
    first.start(3);
    first.device->set_target(50);
    first.name(Rig::kInflate, {10, 11});
    first.give_statistics({{4, 77}});
    first.load_into(second);
    CHECK(second.loaded_well);
    CHECK(second.device->target() == 50);
    CHECK(second.device->ballooned() == 2);
    CHECK(second.device->statistics().at(4) == 77);
    second.name(Rig::kDeflate, {10});
    CHECK(second.device->ballooned() == 1);
    second.device->request_statistics();
    CHECK(second.take_used(Rig::kStatistics) == std::pair(0, 0u));
}
