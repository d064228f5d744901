// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_net.h"

#include <catch2/catch.hpp>

#include "virtio_rig.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

struct TestWire final : NetBackend {
    std::vector<std::vector<u8>> sent;
    void send(std::span<const u8> frame) override { sent.emplace_back(frame.begin(), frame.end()); }
    void arrive(const std::vector<u8>& frame) { receive_(frame); }
};

struct Backends {
    TestWire wire;
};
struct Rig : Backends, VirtioRig<VirtioNet> {
    static constexpr unsigned kReceive = 0, kTransmit = 1;
    Rig()
        : VirtioRig([this](PciBoard& b) {
              return std::make_unique<VirtioNet>(&wire, VirtioNet::Mac{0x52, 0x54, 0, 1, 2, 3},
                                                 b.memory.guest, b.sink);
          }) {}
    void offer_receive(unsigned index, u32 size = 2048) {
        describe(kReceive, index, kBuffers + index * 4096, size, kWritable);
        offer(kReceive, static_cast<u16>(index));
        notify(kReceive);
    }
    void transmit(const std::vector<u8>& packet) {
        put_bytes(kBuffers + 0x20000, packet);
        describe(kTransmit, 0, kBuffers + 0x20000, static_cast<u32>(packet.size()), 0);
        offer(kTransmit, 0);
        notify(kTransmit);
    }
};
std::vector<u8> frame(u8 tag, std::size_t size = 60) { return std::vector<u8>(size, tag); }

}  // namespace

TEST_CASE("virtio-net: shows its address and a link that is up") {
    Rig r;
    CHECK(r.pci_config(0) == 0x10411AF4);
    CHECK(r.device_config(0, 4) == 0x01005452);
    CHECK(r.device_config(4, 2) == 0x0302);
    CHECK(r.device_config(6, 2) == 1);
    CHECK((r.offered() & (1 << 5 | 1 << 16)) == (1 << 5 | 1 << 16));
}

TEST_CASE("virtio-net: frames leave without their header, in one buffer or several") {
    Rig r;
    r.start(2);
    std::vector<u8> packet(12);
    packet.insert(packet.end(), 64, 0xAB);
    r.transmit(packet);
    REQUIRE(r.wire.sent.size() == 1);
    CHECK(r.wire.sent[0] == frame(0xAB, 64));
    CHECK(r.take_used(Rig::kTransmit) == std::pair(0, 0u));
    r.describe(Rig::kTransmit, 1, Rig::kBuffers + 0x20000, 12, kNext, 2);
    r.describe(Rig::kTransmit, 2, Rig::kBuffers + 0x2000C, 64, 0);
    r.offer(Rig::kTransmit, 1);
    r.notify(Rig::kTransmit);
    REQUIRE(r.wire.sent.size() == 2);
    CHECK(r.wire.sent[1] == frame(0xAB, 64));
}

TEST_CASE("virtio-net: frames that make no sense are dropped, counted and given back") {
    Quiet quiet;
    Rig r;
    r.start(2);
    unsigned long before = guest_oddity_count("virtio-net-frame");
    r.transmit(std::vector<u8>(12));
    r.transmit(std::vector<u8>(4));
    r.describe(Rig::kTransmit, 0, Rig::kBuffers, 0xFFFFFFFF, 0);
    r.offer(Rig::kTransmit, 0);
    r.notify(Rig::kTransmit);
    CHECK(guest_oddity_count("virtio-net-frame") == before + 3);
    r.describe(Rig::kTransmit, 0, Memory::kPages * 4096 - 32, 100, 0);  // ends outside memory
    r.offer(Rig::kTransmit, 0);
    r.notify(Rig::kTransmit);
    CHECK(r.wire.sent.empty());
    CHECK(r.used_count(Rig::kTransmit) == 4);
}

TEST_CASE(
    "virtio-net: frames arrive with a header, wait for buffers in order, and are dropped where none fits") {
    Rig r;
    r.wire.arrive(frame(9));  // no driver yet
    r.start(2);
    r.wire.arrive(frame(1));
    r.wire.arrive(frame(2));
    CHECK(r.used_count(Rig::kReceive) == 0);
    r.offer_receive(0);
    CHECK(r.take_used(Rig::kReceive) == std::pair(0, 72u));
    auto packet = r.guest(Rig::kBuffers, 72);
    CHECK(packet[10] == 1);  // num_buffers
    CHECK(std::vector<u8>(packet.begin() + 12, packet.end()) == frame(1));
    r.offer_receive(1, 40);  // too small for frame 2
    CHECK(r.take_used(Rig::kReceive) == std::pair(1, 0u));
    r.offer_receive(2);
    CHECK(r.used_count(Rig::kReceive) == 2);
    r.wire.arrive(frame(3));
    CHECK(r.take_used(Rig::kReceive) == std::pair(2, 72u));
}

TEST_CASE("virtio-net: at most 256 frames wait; a reset forgets them") {
    Rig r;
    r.start(2);
    for (unsigned i = 0; i < 300; ++i) r.wire.arrive(frame(static_cast<u8>(i)));
    for (unsigned i = 0; i < 300; ++i) r.offer_receive(i % 16);
    CHECK(r.used_count(Rig::kReceive) == 256);
    r.set_common(20, 1, 0);
    r.put<u32>(Rig::available(0), 0), r.put<u32>(Rig::used(0), 0);
    r.start(2);
    r.wire.arrive(frame(1));
    r.set_common(20, 1, 0);
    r.start(2);
    r.offer_receive(0);
    CHECK(r.used_count(Rig::kReceive) == 0);
}

TEST_CASE("virtio-net: a receive ring that is broken when a frame arrives asks for a reset") {
    Quiet quiet;
    Rig r;
    r.start(2);
    r.offer(Rig::kReceive, 99);
    r.wire.arrive(frame(1));
    CHECK(r.status() & kNeedsReset);
    r.wire.arrive(frame(2));
}

TEST_CASE("virtio-net: a loaded card delivers the frames that waited") {
    Rig first, second;
    first.start(2);
    first.wire.arrive(frame(7, 100));
    first.load_into(second);
    CHECK(second.loaded_well);
    second.offer_receive(0);
    CHECK(second.take_used(Rig::kReceive) == std::pair(0, 112u));
    CHECK(second.guest(Rig::kBuffers + 12, 100) == frame(7, 100));
}
