// SPDX-License-Identifier: MIT
// The split virtqueue, with drivers that behave and rings that do not.
#include <catch2/catch.hpp>

#include "core/seeded_random.h"
#include "devices/virtio/virtqueue.h"
#include "tests/unit/devices/test_board.h"

using namespace shadowbox;

namespace {

constexpr u64 kTable = 0x1000, kAvailable = 0x2000, kUsed = 0x3000, kData = 0x10000;
constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4;
constexpr u64 kEndOfRam = test::Memory::kPages * 4096;

struct Ring {
    test::Memory memory;
    Virtqueue queue{memory.guest};
    Ring() {
        queue.size = 8;
        queue.enabled = true;
        queue.descriptors = kTable, queue.driver_ring = kAvailable, queue.device_ring = kUsed;
    }
    template <class T>
    void put(u64 where, T value) {
        memory.put(where, value);
    }
    template <class T>
    T get(u64 where) {
        return memory.get<T>(where);
    }
    void describe(u64 table, unsigned index, u64 where, u32 size, u16 flags, u16 next = 0) {
        put<u64>(table + index * 16, where), put<u32>(table + index * 16 + 8, size);
        put<u16>(table + index * 16 + 12, flags), put<u16>(table + index * 16 + 14, next);
    }
    void offer(u16 head) {
        u16 index = get<u16>(kAvailable + 2);
        put<u16>(kAvailable + 4 + 2 * (index % 8), head);
        put<u16>(kAvailable + 2, static_cast<u16>(index + 1));
    }
};

}  // namespace

TEST_CASE(
    "virtqueue: a chain gives its readable, then its writable buffers, and comes back in the used ring") {
    Ring r;
    r.describe(kTable, 3, kData, 16, kNext, 5);
    r.describe(kTable, 5, kData + 0x1000, 512, kNext | kWrite, 1);
    r.describe(kTable, 1, kData + 0x2000, 1, kWrite);
    r.offer(3);
    CHECK(r.queue.waiting() == 1);
    auto chain = r.queue.pop();
    REQUIRE(chain);
    CHECK(chain->head == 3);
    CHECK(chain->readable_bytes() == 16);
    CHECK(chain->writable_bytes() == 513);
    CHECK_FALSE(r.queue.pop());
    CHECK(r.queue.waiting() == 0);
    CHECK(r.queue.push(*chain, 513));
    CHECK(r.get<u16>(kUsed + 2) == 1);
    CHECK(r.get<u32>(kUsed + 4) == 3);
    CHECK(r.get<u32>(kUsed + 8) == 513);
}

TEST_CASE("virtqueue: reads and writes go across buffers from any offset") {
    Ring r;
    r.describe(kTable, 0, kData, 3, kNext, 1);
    r.describe(kTable, 1, kData + 0x1FFE, 5, kNext, 2);  // crosses a page
    r.describe(kTable, 2, kData + 0x3000, 2, kNext | kWrite, 3);
    r.describe(kTable, 3, kData + 0x4000, 4, kWrite);
    for (unsigned i = 0; i < 3; ++i) r.put<u8>(kData + i, static_cast<u8>('a' + i));
    for (unsigned i = 0; i < 5; ++i) r.put<u8>(kData + 0x1FFE + i, static_cast<u8>('d' + i));
    r.offer(0);
    auto chain = r.queue.pop();
    REQUIRE(chain);
    u8 bytes[10] = {};
    CHECK(r.queue.read(*chain, 0, bytes) == 8);
    CHECK(std::string(bytes, bytes + 8) == "abcdefgh");
    CHECK(r.queue.read(*chain, 4, std::span(bytes).first(3)) == 3);
    CHECK(std::string(bytes, bytes + 3) == "efg");
    CHECK(r.queue.read(*chain, 8, bytes) == 0);
    const u8 out[6] = {1, 2, 3, 4, 5, 6};
    CHECK(r.queue.write(*chain, 1, std::span(out).first(4)) == 4);
    CHECK(r.get<u8>(kData + 0x3001) == 1);
    CHECK(r.get<u8>(kData + 0x4002) == 4);
    CHECK(r.queue.write(*chain, 0, out) == 6);
    CHECK(r.queue.write(*chain, 6, out) == 0);
}

TEST_CASE("virtqueue: an indirect table holds the chain, also after direct descriptors") {
    Ring r;
    r.describe(kTable, 0, kData, 8, kNext, 1);
    r.describe(kTable, 1, 0x8000, 32, kIndirect);
    r.describe(0x8000, 0, kData + 0x100, 4, kNext, 1);
    r.describe(0x8000, 1, kData + 0x200, 2, kWrite);
    r.offer(0);
    auto chain = r.queue.pop();
    REQUIRE(chain);
    CHECK(chain->readable.size() == 2);
    CHECK(chain->writable_bytes() == 2);
}

TEST_CASE("virtqueue: the driver's flag holds interrupts back") {
    Ring r;
    r.describe(kTable, 0, kData, 1, kWrite);
    r.offer(0);
    r.offer(0);
    r.put<u16>(kAvailable, 1);  // VIRTQ_AVAIL_F_NO_INTERRUPT
    CHECK_FALSE(r.queue.push(*r.queue.pop(), 0));
    r.put<u16>(kAvailable, 0);
    CHECK(r.queue.push(*r.queue.pop(), 0));
}

TEST_CASE("virtqueue: indexes wrap at 65536") {
    Ring r;
    r.describe(kTable, 0, kData, 1, kWrite);
    for (unsigned i = 0; i < 65536 + 20; ++i) {
        r.offer(0);
        auto chain = r.queue.pop();
        REQUIRE(chain);
        r.queue.push(*chain, i & 0xFF);
    }
    CHECK(r.get<u16>(kUsed + 2) == 20);
    CHECK(r.get<u32>(kUsed + 4 + 8 * ((65536 + 19) % 8) + 4) == ((65536 + 19) & 0xFF));
}

TEST_CASE("virtqueue: nonsense breaks the queue until it is reset, and is counted") {
    test::Quiet quiet;
    Ring r;
    std::string what;
    SECTION("a loop") {
        r.describe(kTable, 0, kData, 1, kNext, 1);
        r.describe(kTable, 1, kData, 1, kNext, 0);
        r.offer(0);
    }
    SECTION("a descriptor that is its own next") {
        r.describe(kTable, 4, kData, 1, kNext, 4);
        r.offer(4);
    }
    SECTION("a head beyond the table") { r.offer(8); }
    SECTION("a next beyond the table") {
        r.describe(kTable, 0, kData, 1, kNext, 0xFFFF);
        r.offer(0);
    }
    SECTION("more requests than the ring holds") {
        r.describe(kTable, 0, kData, 1, kWrite);
        r.put<u16>(kAvailable + 2, 9);
    }
    SECTION("an available ring that runs backwards") { r.put<u16>(kAvailable + 2, 0xFFFF); }
    SECTION("readable after writable") {
        r.describe(kTable, 0, kData, 1, kNext | kWrite, 1);
        r.describe(kTable, 1, kData, 1, 0);
        r.offer(0);
    }
    SECTION("a table outside memory") {
        r.queue.descriptors = kEndOfRam;
        r.offer(0);
    }
    SECTION("a table at the end of the address space, wrapping round") {
        r.queue.descriptors = ~u64{0} - 8;
        r.offer(1);
    }
    SECTION("an available ring outside memory") { r.queue.driver_ring = u64{1} << 52; }
    SECTION("indirect inside indirect") {
        r.describe(kTable, 0, 0x8000, 16, kIndirect);
        r.describe(0x8000, 0, 0x8000, 16, kIndirect);
        r.offer(0);
    }
    SECTION("indirect with next") {
        r.describe(kTable, 0, 0x8000, 16, kIndirect | kNext, 1);
        r.describe(0x8000, 0, kData, 1, 0);
        r.offer(0);
    }
    SECTION("an indirect table of no entries") {
        r.describe(kTable, 0, 0x8000, 0, kIndirect);
        r.offer(0);
    }
    SECTION("an indirect table of part of an entry") {
        r.describe(kTable, 0, 0x8000, 17, kIndirect);
        r.offer(0);
    }
    SECTION("an indirect table of 4 GiB") {
        r.describe(kTable, 0, 0x8000, 0xFFFFFFF0, kIndirect);
        r.offer(0);
    }
    SECTION("an indirect table outside memory") {
        r.describe(kTable, 0, kEndOfRam, 16, kIndirect);
        r.offer(0);
    }
    SECTION("a loop inside an indirect table") {
        r.describe(kTable, 0, 0x8000, 32, kIndirect);
        r.describe(0x8000, 0, kData, 1, kNext, 1);
        r.describe(0x8000, 1, kData, 1, kNext, 0);
        r.offer(0);
    }
    unsigned long before = guest_oddity_count("virtqueue-broken");
    CHECK_FALSE(r.queue.pop());
    CHECK(r.queue.broken());
    CHECK(guest_oddity_count("virtqueue-broken") == before + 1);
    CHECK(r.queue.waiting() == 0);
    CHECK_FALSE(r.queue.pop());
    CHECK_FALSE(r.queue.push(VirtqChain{}, 0));
    r.queue.reset();
    CHECK_FALSE(r.queue.broken());
}

TEST_CASE("virtqueue: a used ring outside memory breaks the queue when a request comes back") {
    test::Quiet quiet;
    Ring r;
    r.queue.device_ring = kEndOfRam - 4;  // flags and index inside, elements not
    r.describe(kTable, 0, kData, 1, kWrite);
    r.offer(0);
    auto chain = r.queue.pop();
    REQUIRE(chain);
    CHECK_FALSE(r.queue.push(*chain, 1));
    CHECK(r.queue.broken());
}

TEST_CASE("virtqueue: buffers outside memory move nothing and are counted") {
    test::Quiet quiet;
    Ring r;
    r.describe(kTable, 0, kEndOfRam - 4, 8, kNext, 1);
    r.describe(kTable, 1, ~u64{0} - 3, 0xFFFFFFFF, kWrite);
    r.offer(0);
    auto chain = r.queue.pop();
    REQUIRE(chain);
    unsigned long before = guest_oddity_count("virtqueue-buffer");
    u8 bytes[8] = {};
    CHECK(r.queue.read(*chain, 0, bytes) == 0);
    CHECK(r.queue.write(*chain, 0, bytes) == 0);
    CHECK(r.queue.write(*chain, 0x80000000, bytes) == 0);
    CHECK(guest_oddity_count("virtqueue-buffer") == before + 3);
}

TEST_CASE("virtqueue: random rings never hang and never go outside their bounds") {
    test::Quiet quiet;
    SeededRandom random(20);
    unsigned popped = 0, broken = 0;
    for (unsigned round = 0; round < 3000; ++round) {
        static Ring r;
        r.queue.reset();
        r.queue.size = static_cast<u16>(1u << random.below(5));
        r.queue.enabled = true;
        r.queue.descriptors = random.one_in(20) ? random.next() : kTable;
        r.queue.driver_ring = random.one_in(20) ? random.next() : kAvailable;
        r.queue.device_ring = random.one_in(8) ? kAvailable : kUsed;  // rings may lie on each other
        for (unsigned i = 0; i < 16; ++i) {
            u64 where = random.one_in(4) ? random.next() : kTable + random.below(0x4000);
            u16 flags = static_cast<u16>(random.one_in(3) ? random.below(8) : random.below(2) * kWrite);
            r.describe(kTable, i, where,
                       static_cast<u32>(random.one_in(4) ? random.next() : 16 * random.below(9)), flags,
                       static_cast<u16>(random.below(20)));
            r.put<u16>(kAvailable + 4 + 2 * i, static_cast<u16>(random.below(20)));
        }
        r.put<u16>(kAvailable + 2, static_cast<u16>(random.below(20)));
        for (unsigned steps = 0; steps < 100; ++steps) {
            auto chain = r.queue.pop();
            if (!chain) break;
            ++popped;
            CHECK(chain->readable.size() + chain->writable.size() <= 1024 + 16);
            u8 bytes[64] = {1, 2, 3};
            u64 got = r.queue.read(*chain, random.below(200), bytes);
            CHECK(got <= chain->readable_bytes());
            CHECK(r.queue.write(*chain, random.below(200), bytes) <= chain->writable_bytes());
            r.queue.push(*chain, static_cast<u32>(random.next()));
        }
        broken += r.queue.broken();
    }
    CHECK(popped > 500);
    CHECK(broken > 500);
}

TEST_CASE("virtqueue: a loaded queue goes on where the saved one stood; a corrupt size is refused") {
    Ring first, second;
    first.describe(kTable, 2, kData, 1, kWrite);
    second.describe(kTable, 2, kData, 1, kWrite);
    first.offer(2), first.offer(2), second.offer(2), second.offer(2);
    auto taken = first.queue.pop();
    first.queue.push(*taken, 0);
    first.queue.msix_vector = 1;
    Archive saved;
    first.queue.serialize(saved);
    second.queue.reset();
    Archive loading(saved.bytes());
    second.queue.serialize(loading);
    CHECK_FALSE(loading.failed());
    CHECK(second.queue.size == 8);
    CHECK(second.queue.msix_vector == 1);
    CHECK(second.queue.waiting() == 1);
    auto chain = second.queue.pop();
    REQUIRE(chain);
    second.queue.push(*chain, 7);
    CHECK(second.get<u16>(kUsed + 2) == 2);
    CHECK(second.get<u32>(kUsed + 4 + 8 + 4) == 7);
    {
        test::Quiet quiet;
        first.offer(99);
        first.queue.pop(), first.queue.pop();
        REQUIRE(first.queue.broken());
        Archive broken;
        first.queue.serialize(broken);
        Archive again(broken.bytes());
        Ring third;
        third.queue.serialize(again);
        CHECK(third.queue.broken());
    }
    std::vector<u8> corrupt = saved.bytes();
    corrupt[0] = 7;  // the size's low byte
    Archive refused(corrupt);
    second.queue.serialize(refused);
    CHECK(refused.failed());
    CHECK(second.queue.size == Virtqueue::kMaxSize);
}
