// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_blk.h"

#include <catch2/catch.hpp>

#include "virtio_rig.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

constexpr u32 kIn = 0, kOut = 1, kFlush = 4, kGetId = 8;

struct Backends {
    MemoryDisk image{64 * 512};
};
struct Rig : Backends, VirtioRig<VirtioBlk> {
    explicit Rig(bool protect = false)
        : VirtioRig([this, protect](PciBoard& b) {
              image.protect = protect;
              return std::make_unique<VirtioBlk>("virtio-blk0", image, "SERIAL", b.memory.guest, b.sink);
          }) {
        for (std::size_t i = 0; i < image.content.size(); ++i)
            image.content[i] = static_cast<u8>(i / 512 * 3 + i);
    }
    static constexpr u64 kHeader = kBuffers, kData = kBuffers + 0x1000, kStatus = kBuffers + 0x800;
    void request(u32 type, u64 sector, u32 bytes, bool to_guest) {
        put<u32>(kHeader, type), put<u32>(kHeader + 4, 0), put<u64>(kHeader + 8, sector);
        put<u8>(kStatus, 0xEE);
        describe(0, 0, kHeader, 16, kNext, bytes ? 1 : 2);
        describe(0, 1, kData, bytes, static_cast<u16>(kNext | (to_guest ? kWritable : 0)), 2);
        describe(0, 2, kStatus, 1, kWritable);
        offer(0, 0);
        notify(0);
    }
    u8 result() { return get<u8>(kStatus); }
};

}  // namespace

TEST_CASE("virtio-blk: tells capacity, segments and block size") {
    Rig r;
    CHECK(r.pci_config(0) == 0x10421AF4);
    CHECK(r.device_config(0, 8) == 64);
    CHECK(r.device_config(12, 4) == 126);
    CHECK(r.device_config(20, 4) == 512);
    CHECK(r.device_config(100, 4) == 0);
    CHECK_FALSE(r.offered() & 1 << 5);
    Rig read_only(true);
    CHECK(read_only.offered() & 1 << 5);
}

TEST_CASE("virtio-blk: reads and writes sectors, flushes, tells its serial number") {
    Rig r;
    r.start(1);
    r.request(kIn, 3, 1024, true);
    CHECK(r.result() == 0);
    CHECK(r.take_used(0) == std::pair(0, 1025u));
    CHECK(r.guest(Rig::kData, 1024) ==
          std::vector<u8>(r.image.content.begin() + 3 * 512, r.image.content.begin() + 5 * 512));
    r.put_bytes(Rig::kData, std::vector<u8>(512, 0x5A));
    r.request(kOut, 63, 512, false);
    CHECK(r.result() == 0);
    CHECK(r.take_used(0) == std::pair(0, 1u));
    CHECK(r.image.content[63 * 512 + 511] == 0x5A);
    CHECK(r.image.content[63 * 512 - 1] != 0x5A);
    r.request(kFlush, 0, 0, false);
    CHECK(r.result() == 0);
    r.request(kGetId, 0, 20, true);
    CHECK(r.result() == 0);
    CHECK(r.guest(Rig::kData, 7) == std::vector<u8>{'S', 'E', 'R', 'I', 'A', 'L', 0});
}

TEST_CASE(
    "virtio-blk: errors: beyond the end, part of a sector, unknown request, failing or read-only disk") {
    Rig r;
    r.start(1);
    r.request(kIn, 64, 512, true);
    CHECK(r.result() == 1);
    r.request(kIn, 63, 1024, true);
    CHECK(r.result() == 1);
    r.request(kIn, ~u64{0}, 512, true);
    CHECK(r.result() == 1);
    r.request(kIn, (~u64{0} >> 9) + 1, 512, true);  // times 512 it is 0
    CHECK(r.result() == 1);
    r.request(kIn, 0, 100, true);
    CHECK(r.result() == 1);
    r.request(kOut, 64, 512, false);
    CHECK(r.result() == 1);
    r.request(77, 0, 512, true);
    CHECK(r.result() == 2);
    r.image.fail = true;
    r.request(kIn, 0, 512, true);
    CHECK(r.result() == 1);
    Rig read_only(true);
    read_only.start(1);
    read_only.request(kOut, 0, 512, false);
    CHECK(read_only.result() == 1);
    CHECK(read_only.image.content[0] == 0);
}

TEST_CASE("virtio-blk: a data buffer outside memory is an error, not a success") {
    Quiet quiet;
    Rig r;
    r.start(1);
    for (u32 type : {kIn, kOut}) {
        r.put<u32>(Rig::kHeader, type), r.put<u64>(Rig::kHeader + 8, 0);
        r.put<u8>(Rig::kStatus, 0xEE);
        r.describe(0, 0, Rig::kHeader, 16, kNext, 1);
        r.describe(0, 1, Memory::kPages * 4096, 512, static_cast<u16>(kNext | (type == kIn ? kWritable : 0)),
                   2);
        r.describe(0, 2, Rig::kStatus, 1, kWritable);
        r.offer(0, 0);
        r.notify(0);
        CHECK(r.result() == 1);
    }
    CHECK(r.used_count(0) == 2);
}

TEST_CASE("virtio-blk: hostile requests: short header, no status byte, gigabytes") {
    Quiet quiet;
    Rig r;
    r.start(1);
    r.describe(0, 0, Rig::kHeader, 8, kNext, 1);  // half a header
    r.describe(0, 1, Rig::kStatus, 1, kWritable);
    r.offer(0, 0);
    r.describe(0, 2, Rig::kHeader, 16, 0);  // no place for the status
    r.offer(0, 2);
    r.describe(0, 3, Rig::kHeader, 16, kNext, 4);
    r.describe(0, 4, Rig::kData, 0xFFFFFFFF, kNext | kWritable, 5);
    r.describe(0, 5, Rig::kData, 0xFFFFFFFF, kWritable);
    r.put<u32>(Rig::kHeader, kIn), r.put<u64>(Rig::kHeader + 8, 0);
    r.offer(0, 3);
    r.notify(0);
    CHECK(r.used_count(0) == 3);
    CHECK_FALSE(r.status() & kNeedsReset);
    r.request(kIn, 1, 512, true);
    CHECK(r.result() == 0);
}

TEST_CASE("virtio-blk: requests complete late, in any number, and not at all after a reset") {
    Rig r;
    r.start(1);
    r.image.deferred = true;
    r.request(kIn, 5, 512, true);
    CHECK(r.used_count(0) == 0);
    CHECK(r.result() == 0xEE);
    r.image.complete();
    CHECK(r.used_count(0) == 1);
    CHECK(r.result() == 0);
    r.request(kIn, 6, 512, true);
    r.set_common(20, 1, 0);
    r.start(1);
    r.image.complete();
    CHECK(r.used_count(0) == 1);
    CHECK(r.result() == 0xEE);
}

TEST_CASE("virtio-blk: a loaded disk serves the request that waits in its ring") {
    Rig first, second;
    first.start(1);
    first.request(kIn, 1, 512, true);
    first.take_used(0);
    first.load_into(second);
    CHECK(second.loaded_well);
    second.request(kIn, 2, 512, true);
    CHECK(second.take_used(0) == std::pair(0, 513u));
    CHECK(second.guest(Rig::kData, 1)[0] == second.image.content[1024]);
}
