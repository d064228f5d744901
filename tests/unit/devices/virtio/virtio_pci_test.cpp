// SPDX-License-Identifier: MIT
// The modern PCI transport, through the simplest device (entropy).
#include <catch2/catch.hpp>

#include "core/seeded_random.h"
#include "devices/virtio/virtio_rng.h"
#include "virtio_rig.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

constexpr u64 kVersion1 = u64{1} << 32;

struct Source {
    u64 next = 0x1000;
};
struct Rig : Source, VirtioRig<VirtioRng> {
    Rig()
        : VirtioRig([this](PciBoard& b) {
              return std::make_unique<VirtioRng>([this] { return ++next; }, b.memory.guest, b.sink);
          }) {}
    void offer_buffer(unsigned index = 0, u32 size = 8) {
        describe(0, index, kBuffers + index * 64, size, kWritable);
        offer(0, static_cast<u16>(index));
    }
    unsigned msix_capability() {
        unsigned at = pci_config(0x34, 1);
        while (pci_config(at, 1) != 0x11) at = pci_config(at + 1, 1);
        return at;
    }
    u64 msix_table() {
        u32 place = pci_config(msix_capability() + 4);
        return (pci_config(0x10 + 4 * (place & 7)) & ~15u) + (place & ~7u);
    }
    /// MSI-X on, `vector` unmasked with this data.
    void enable_msix(unsigned vector, u32 data) {
        unsigned at = msix_capability();
        u64 table = msix_table();
        store(table + vector * 16, 0xFEE00000), store(table + vector * 16 + 4, 0);
        store(table + vector * 16 + 8, data), store(table + vector * 16 + 12, 0);
        set_config(kSlot, 0, at + 2, 0x8000, 2);
    }
};

}  // namespace

TEST_CASE("virtio: identifies as a modern device with its four windows in one BAR and MSI-X") {
    Rig r;
    CHECK(r.pci_config(0) == 0x10441AF4);
    CHECK(r.pci_config(8, 1) == 1);
    CHECK(r.common_window != 0);
    CHECK(r.isr_window != 0);
    CHECK(r.device_window != 0);
    CHECK(r.notify_window != 0);
    CHECK(r.notify_multiplier == 4);
    CHECK(r.common(18, 2) == 1);  // one queue
    CHECK(r.common(24, 2) == Virtqueue::kMaxSize);
    CHECK(r.common(16, 2) == 0xFFFF);
    CHECK(r.common(30, 2) == 0);
}

TEST_CASE(
    "virtio: feature bits in halves; FEATURES_OK stays clear without VERSION_1 or with bits not offered") {
    Rig r;
    CHECK(r.offered() == (kVersion1 | u64{1} << 28));
    r.set_common(0, 4, 2);
    CHECK(r.common(4, 4) == 0);
    r.set_common(20, 1, kAcknowledge | kDriver);
    r.accept(0);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk);
    CHECK_FALSE(r.status() & kFeaturesOk);
    r.accept(kVersion1 | 1);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk);
    CHECK_FALSE(r.status() & kFeaturesOk);
    r.accept(kVersion1 | u64{1} << 28);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk);
    CHECK(r.status() & kFeaturesOk);
    r.accept(kVersion1);  // too late
    r.set_common(8, 4, 0);
    CHECK(r.common(12, 4) == 1u << 28);
}

TEST_CASE("virtio: queue registers read back, take powers of two only and are locked once enabled") {
    Rig r;
    r.set_common(24, 2, 12);
    CHECK(r.common(24, 2) == 256);
    r.set_common(24, 2, 512);
    CHECK(r.common(24, 2) == 256);
    r.set_common(24, 2, 64);
    CHECK(r.common(24, 2) == 64);
    r.set_common(32, 4, 0x12345000), r.set_common(36, 4, 0x1);
    CHECK(r.common(32, 8) == 0x112345000);
    r.set_common(40, 8, 0x2000), r.set_common(48, 8, 0x3000);
    CHECK(r.common(40, 8) == 0x2000);
    CHECK(r.common(48, 4) == 0x3000);
    r.set_common(28, 2, 1);
    CHECK(r.common(28, 2) == 1);
    r.set_common(24, 2, 8), r.set_common(32, 8, 0), r.set_common(28, 2, 0);
    CHECK(r.common(24, 2) == 64);
    CHECK(r.common(32, 8) == 0x112345000);
    CHECK(r.common(28, 2) == 1);
    r.set_common(22, 2, 7);  // no such queue
    CHECK(r.common(24, 2) == 0);
    CHECK(r.common(32, 8) == 0);
    r.set_common(28, 2, 1), r.set_common(32, 8, 5);
    r.set_common(20, 1, 0);  // reset
    CHECK(r.common(22, 2) == 0);
    CHECK(r.common(28, 2) == 0);
    CHECK(r.common(24, 2) == 256);
}

TEST_CASE("virtio: a request is served on its notification, and INTx stands until ISR is read") {
    Rig r;
    r.start(1);
    r.offer_buffer();
    CHECK(r.used_count(0) == 0);
    r.notify(0);
    CHECK(r.take_used(0) == std::pair(0, 8u));
    CHECK(r.get<u64>(Rig::kBuffers) == 0x1001);
    CHECK(r.pci_config(6, 2) & 8);  // interrupt status
    CHECK(r.isr() == 1);
    CHECK_FALSE(r.pci_config(6, 2) & 8);
    CHECK(r.isr() == 0);
}

TEST_CASE("virtio: with MSI-X each queue has its vector and ISR stays clear") {
    Rig r;
    r.start(1);
    r.enable_msix(1, 0x41);
    r.set_common(22, 2, 0), r.set_common(26, 2, 1), r.set_common(16, 2, 0);
    CHECK(r.common(26, 2) == 1);
    r.offer_buffer();
    r.notify(0);
    REQUIRE(r.sink.messages.size() == 1);
    CHECK(r.sink.messages[0].vector == 0x41);
    CHECK(r.isr() == 0);
    r.set_common(26, 2, 2);  // no such vector: reads back as none
    CHECK(r.common(26, 2) == 0xFFFF);
    r.set_common(16, 2, 9);
    CHECK(r.common(16, 2) == 0xFFFF);
    r.offer_buffer();
    r.notify(0);
    CHECK(r.sink.messages.size() == 1);
    CHECK(r.used_count(0) == 2);
}

TEST_CASE(
    "virtio: nothing moves before DRIVER_OK, without the bus master right, or for a queue that is not "
    "there") {
    Rig r;
    r.offer_buffer();
    r.notify(0);
    CHECK(r.used_count(0) == 0);
    r.start(1);
    r.set_config(Rig::kSlot, 0, 4, 2, 2);  // memory only
    r.notify(0);
    CHECK(r.used_count(0) == 0);
    r.set_config(Rig::kSlot, 0, 4, 6, 2);
    r.notify(3);
    CHECK(r.used_count(0) == 0);
    r.notify(0);
    CHECK(r.used_count(0) == 1);
}

TEST_CASE("virtio: a broken ring asks for a reset with a configuration interrupt, and a reset cures it") {
    Quiet quiet;
    Rig r;
    r.start(1);
    u64 generation = r.common(21, 1);
    r.offer(0, 200);
    r.notify(0);
    CHECK(r.status() & kNeedsReset);
    CHECK(r.common(21, 1) != generation);
    CHECK(r.isr() == 2);
    r.offer_buffer();
    r.notify(0);
    CHECK(r.used_count(0) == 0);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);  // only a reset clears it
    CHECK(r.status() & kNeedsReset);
    r.set_common(20, 1, 0);
    CHECK(r.status() == 0);
    r.put<u32>(Rig::available(0), 0), r.put<u32>(Rig::used(0), 0);
    r.start(1);
    r.offer_buffer();
    r.notify(0);
    CHECK(r.take_used(0) == std::pair(0, 8u));
}

TEST_CASE("virtio: a used ring that is not in memory asks for a reset") {
    Quiet quiet;
    Rig r;
    r.set_common(20, 1, kAcknowledge | kDriver);
    r.accept(kVersion1);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk);
    r.enable_queue(0);
    r.set_common(20, 1, 0);
    r.set_common(20, 1, kAcknowledge | kDriver);
    r.accept(kVersion1);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk);
    r.set_common(24, 2, 16), r.set_common(32, 8, Rig::descriptors(0)), r.set_common(40, 8, Rig::available(0));
    r.set_common(48, 8, u64{1} << 45), r.set_common(28, 2, 1);
    r.set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    r.offer_buffer();
    r.notify(0);
    CHECK(r.status() & kNeedsReset);
}

TEST_CASE(
    "virtio: a ring that feeds itself while it is served ends with what was there at the notification") {
    Rig r;
    r.start(1);
    // The buffer is the available ring's index: each served request adds more.
    r.describe(0, 0, Rig::available(0) + 2, 2, kWritable);
    for (unsigned i = 0; i < 16; ++i) r.put<u16>(Rig::available(0) + 4 + 2 * i, 0);
    r.put<u16>(Rig::available(0) + 2, 1);
    r.next = 1;  // writes 2, 3, 4...
    r.notify(0);
    CHECK(r.used_count(0) == 1);
    r.notify(0);
    CHECK(r.used_count(0) == 2);
}

TEST_CASE("virtio: an interrupt that waits behind a masked vector is sent by the loaded device") {
    Rig first, second;
    first.start(1);
    first.enable_msix(1, 0x61);
    u64 vector = first.msix_table() + 16;
    first.store(vector + 12, 1);
    first.set_common(22, 2, 0), first.set_common(26, 2, 1);
    first.offer_buffer();
    first.notify(0);
    CHECK(first.sink.messages.empty());
    first.load_into(second);
    CHECK(second.sink.messages.empty());
    second.store(vector + 12, 0);
    REQUIRE(second.sink.messages.size() == 1);
    CHECK(second.sink.messages[0].vector == 0x61);
}

TEST_CASE("virtio: a loaded device goes on with its queue, vectors and status") {
    Rig first;
    first.start(1);
    first.enable_msix(1, 0x52);
    first.set_common(22, 2, 0), first.set_common(26, 2, 1);
    first.offer_buffer(0), first.offer_buffer(1);
    first.notify(0);
    first.offer_buffer(2, 3);
    Rig second;
    first.load_into(second);
    CHECK(second.loaded_well);
    CHECK(second.status() == first.status());
    CHECK(second.common(26, 2) == 1);
    second.sink.messages.clear();
    second.notify(0);
    CHECK(second.used_count(0) == 3);
    CHECK(second.take_used(0) == std::pair(0, 8u));
    CHECK(second.take_used(0) == std::pair(1, 8u));
    CHECK(second.take_used(0) == std::pair(2, 3u));
    REQUIRE(second.sink.messages.size() == 1);
    CHECK(second.sink.messages[0].vector == 0x52);
}

TEST_CASE("virtio: a device that nobody has touched saves and loads to the same bytes") {
    Rig first, second;
    first.load_into(second);
    CHECK(second.loaded_well);
    first.enable_msix(0, 0x41);
    first.set_config(Rig::kSlot, 0, 0x98, 0, 2);
    first.load_into(second);
    CHECK(second.loaded_well);
}

TEST_CASE("rng: fills buffers of any length from its source, at most 4 KiB of one") {
    Rig r;
    r.start(1);
    r.offer_buffer(0, 11);
    r.describe(0, 1, Rig::kBuffers + 0x1000, 5000, kWritable);
    r.offer(0, 1);
    r.describe(0, 2, Rig::kBuffers, 8, 0);  // nothing to write to
    r.offer(0, 2);
    r.notify(0);
    CHECK(r.take_used(0) == std::pair(0, 11u));
    CHECK(r.take_used(0) == std::pair(1, 4096u));
    CHECK(r.take_used(0) == std::pair(2, 0u));
    CHECK(r.get<u64>(Rig::kBuffers) == 0x1001);
    CHECK(r.get<u16>(Rig::kBuffers + 8) == 0x1002);
    CHECK(r.get<u64>(Rig::kBuffers + 0x1000) == 0x1003);
}

TEST_CASE("virtio: random register writes and rings harm nobody, and save states stay exact") {
    Quiet quiet;
    for (u64 seed = 1; seed <= 4; ++seed) {
        SeededRandom random(seed);
        Rig r;
        for (unsigned i = 0; i < 6000; ++i) {
            u64 windows[] = {r.common_window, r.isr_window, r.device_window, r.notify_window};
            u64 where = windows[random.below(4)] + random.below(random.one_in(3) ? 0x1000 : 64);
            unsigned size = 1u << random.below(4);
            if (random.one_in(200)) r.start(1);
            if (random.one_in(3))
                r.describe(0, static_cast<unsigned>(random.below(16)),
                           random.one_in(3) ? random.next() : random.below(0x400000),
                           static_cast<u32>(random.below(9000)), static_cast<u16>(random.below(8)),
                           static_cast<u16>(random.below(17)));
            if (random.one_in(3)) r.offer(0, static_cast<u16>(random.below(17)));
            if (random.one_in(4))
                r.notify(0);
            else if (random.one_in(3))
                r.mmio.write(Gpa(where), size, random.one_in(2) ? random.below(256) : random.next());
            else
                r.mmio.read(Gpa(where), size);
        }
        Rig other;
        r.load_into(other);
        CHECK(other.loaded_well);
    }
}
