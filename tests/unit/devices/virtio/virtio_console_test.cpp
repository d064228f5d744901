// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_console.h"

#include <catch2/catch.hpp>

#include "virtio_rig.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

struct Backends {
    RecordingChar line;
};
struct Rig : Backends, VirtioRig<VirtioConsole> {
    static constexpr unsigned kReceive = 0, kTransmit = 1;
    Rig()
        : VirtioRig([this](PciBoard& b) {
              return std::make_unique<VirtioConsole>("virtio-console0", &line, b.memory.guest, b.sink);
          }) {}
    void print(const std::string& text) {
        put_bytes(kBuffers, std::vector<u8>(text.begin(), text.end()));
        describe(kTransmit, 0, kBuffers, static_cast<u32>(text.size()), 0);
        offer(kTransmit, 0);
        notify(kTransmit);
    }
    void offer_receive(unsigned index, u32 size) {
        describe(kReceive, index, kBuffers + 0x1000 + index * 64, size, kWritable);
        offer(kReceive, static_cast<u16>(index));
        notify(kReceive);
    }
    std::string text(unsigned index, u32 size) {
        auto bytes = guest(kBuffers + 0x1000 + index * 64, size);
        return {bytes.begin(), bytes.end()};
    }
};

}  // namespace

TEST_CASE("virtio-console: what the guest prints reaches the line") {
    Rig r;
    CHECK(r.pci_config(0) == 0x10431AF4);
    CHECK(r.common(18, 2) == 2);
    r.start(2);
    r.print("hello");
    CHECK(r.line.written == "hello");
    CHECK(r.take_used(Rig::kTransmit) == std::pair(0, 0u));
    CHECK(r.isr() == 1);
}

TEST_CASE("virtio-console: input waits for buffers, over several of them, and asks for more") {
    Rig r;
    CHECK(r.device->can_receive() == 0);
    r.start(2);
    CHECK(r.device->can_receive() == 4096);
    r.line.type("abcdef");
    CHECK(r.device->can_receive() == 4090);
    r.offer_receive(0, 4);
    CHECK(r.take_used(Rig::kReceive) == std::pair(0, 4u));
    CHECK(r.text(0, 4) == "abcd");
    CHECK(r.line.ready_calls > 0);
    r.offer_receive(1, 64);
    CHECK(r.take_used(Rig::kReceive) == std::pair(1, 2u));
    CHECK(r.text(1, 2) == "ef");
    r.offer_receive(2, 64);
    r.line.type("now");
    CHECK(r.take_used(Rig::kReceive) == std::pair(2, 3u));
}

TEST_CASE("virtio-console: too much input is lost, not kept") {
    Rig r;
    r.start(2);
    r.line.type(std::string(5000, 'x'));
    CHECK(r.device->can_receive() == 0);
    r.line.type("more");
    CHECK(r.device->can_receive() == 0);
    r.set_common(20, 1, 0);
    r.start(2);
    CHECK(r.device->can_receive() == 4096);
}

TEST_CASE(
    "virtio-console: output of gigabytes or from outside memory ends, a broken input ring asks for a reset") {
    Quiet quiet;
    Rig r;
    r.start(2);
    r.describe(Rig::kTransmit, 0, 0x100000, 0xFFFFFFFF, 0);
    r.offer(Rig::kTransmit, 0);
    r.notify(Rig::kTransmit);
    CHECK(r.line.written.size() == 1 << 20);
    r.describe(Rig::kTransmit, 0, u64{1} << 60, 16, 0);
    r.offer(Rig::kTransmit, 0);
    r.notify(Rig::kTransmit);
    CHECK(r.line.written.size() == 1 << 20);
    CHECK(r.used_count(Rig::kTransmit) == 2);
    r.offer(Rig::kReceive, 500);
    r.line.type("x");
    CHECK(r.status() & kNeedsReset);
    CHECK(r.device->can_receive() == 0);
}

TEST_CASE("virtio-console: a loaded console delivers the input that waited") {
    Rig first, second;
    first.start(2);
    first.line.type("kept");
    first.load_into(second);
    CHECK(second.loaded_well);
    CHECK(second.device->can_receive() == 4092);
    second.offer_receive(0, 64);
    CHECK(second.text(0, 4) == "kept");
    second.print("out");
    CHECK(second.line.written == "out");
}
