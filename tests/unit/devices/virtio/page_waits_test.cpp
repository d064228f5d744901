// SPDX-License-Identifier: MIT
// virtio when a page is away or the pool is full: nothing is lost, nothing breaks, a reset forgets.
#include "devices/bus/page_waits.h"

#include <catch2/catch.hpp>

#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_rng.h"
#include "tests/unit/devices/away.h"
#include "virtio_rig.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

struct Disk {
    MemoryDisk image{64 * 512};
    ParkingLot lot;
};
struct BlkRig : Disk, VirtioRig<VirtioBlk> {
    static constexpr u64 kHeader = kBuffers, kStatus = kBuffers + 0x800, kData = kBuffers + 0x1000;
    BlkRig()
        : VirtioRig([this](PciBoard& b) {
              return std::make_unique<VirtioBlk>("virtio-blk0", image, "S", b.memory.guest, b.sink);
          }) {
        device->set_page_waits(lot);
        std::fill(image.content.begin(), image.content.end(), 0x5A);
        start(1);
        put<u8>(kStatus, 0xEE);
    }
    void read_sector() {
        put<u32>(kHeader, 0), put<u64>(kHeader + 8, 0);
        describe(0, 0, kHeader, 16, kNext, 1);
        describe(0, 1, kData, 512, kNext | kWritable, 2);
        describe(0, 2, kStatus, 1, kWritable);
        offer(0, 0);
        notify(0);
    }
    bool answered() { return take_used(0) == std::pair(0, 513u); }
};

}  // namespace

TEST_CASE("virtqueue: a pool that is full at a device's write does not break the queue") {
    auto pool = std::move(*MachinePool::create(4, 1024));
    ZeroFillPager pager;
    GuestMemory memory(*pool, pager, VmId(1));
    memory.map_ram(Ppn(0), 64);
    auto put = [&](u64 at, auto value) {
        return memory.write(Gpa(at), std::span(reinterpret_cast<const u8*>(&value), sizeof value));
    };
    Virtqueue queue(memory);
    queue.enabled = true;
    queue.size = 8;
    queue.descriptors = 0x1000, queue.driver_ring = 0x2000, queue.device_ring = 0x3000;
    put(0x1000, u64{0x8000}), put(0x1008, u32{512}), put(0x100C, u32{2});
    put(0x2004, u16{0}), put(0x2002, u16{1});
    auto chain = queue.pop();
    REQUIRE(chain);
    std::vector<u8> data(512, 1);
    {
        Hog hog(*pool);
        CHECK(queue.write(*chain, 0, data) == 0);
        CHECK(queue.take_stall()->outcome == MemoryOutcome::kPoolFull);
        CHECK_FALSE(queue.push(*chain, 512));
        CHECK(queue.take_stall()->outcome == MemoryOutcome::kPoolFull);
        CHECK_FALSE(queue.broken());
    }
    CHECK(queue.write(*chain, 0, data) == 512);
    CHECK(queue.push(*chain, 512));
    u16 used = 0;
    memory.read(Gpa(0x3002), std::span(reinterpret_cast<u8*>(&used), 2));
    CHECK(used == 1);
    put(0x2002, u16{2});
    CHECK(queue.pop());
    CHECK_FALSE(queue.broken());
}

TEST_CASE("virtio-blk: a request whose data or used ring is away waits, and is done once") {
    BlkRig r;
    for (u64 away : {BlkRig::kData, BlkRig::used(0)}) {
        CAPTURE(away);
        {
            Away page(r.memory.guest, away);
            r.read_sector();
            CHECK(r.lot.last.ppn == Gpa(away).ppn());
            REQUIRE(r.lot.parked.size() == 1);
            r.lot.run();  // in vain
            CHECK(r.lot.parked.size() == 1);
            r.notify(0);  // no second copy of it
            CHECK(r.lot.parked.size() == 1);
            CHECK_FALSE(r.device->settled());
        }
        r.lot.run();
        CHECK(r.answered());
        CHECK(r.device->settled());
        CHECK(r.take_used(0).first == -1);
        CHECK(r.get<u8>(BlkRig::kData) == 0x5A);
        CHECK(r.get<u8>(BlkRig::kStatus) == 0);
        CHECK_FALSE(r.status() & kNeedsReset);
    }
}

TEST_CASE("virtio-blk: a reset forgets the request that waits") {
    BlkRig r;
    {
        Away page(r.memory.guest, BlkRig::kData);
        r.read_sector();
        REQUIRE(r.lot.parked.size() == 1);
        r.set_common(20, 1, 0);
        CHECK(r.device->settled());
    }
    r.lot.run();
    CHECK(r.get<u8>(BlkRig::kStatus) == 0xEE);
    CHECK(r.used_count(0) == 0);
}

TEST_CASE("virtio-rng: a page that is away costs no random bytes") {
    u64 drawn = 0;
    ParkingLot lot;
    VirtioRig<VirtioRng> r([&](PciBoard& b) {
        return std::make_unique<VirtioRng>([&] { return ++drawn; }, b.memory.guest, b.sink);
    });
    r.device->set_page_waits(lot);
    r.start(1);
    r.describe(0, 0, r.kBuffers, 16, kWritable);
    {
        Away page(r.memory.guest, r.kBuffers);
        r.offer(0, 0);
        r.notify(0);
        REQUIRE(lot.parked.size() == 1);
        lot.run();
    }
    lot.run();
    CHECK(r.take_used(0) == std::pair(0, 16u));
    CHECK(drawn == 2);
    CHECK(r.get<u64>(r.kBuffers + 8) == 2);
}
