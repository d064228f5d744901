// SPDX-License-Identifier: MIT
// Interrupt messages between local APICs, sent as software sends them: through the ICR.
#include "vmm/machine/apic_fabric.h"

#include <bit>
#include <catch2/catch.hpp>

#include "tests/unit/vmm/bare_machine.h"

using namespace shadowbox;
using test::BareMachine;

namespace {

constexpr u32 kIcrLow = 0x300, kIcrHigh = 0x310, kSvr = 0xF0, kLdr = 0xD0, kDfr = 0xE0, kErrorStatus = 0x280;
constexpr u32 kLogical = 1 << 11, kAssert = 1 << 14, kNmi = 4 << 8, kInit = 5 << 8, kStartup = 6 << 8,
              kLowest = 1 << 8;
constexpr u32 kSelf = 1 << 18, kAll = 2 << 18, kOthers = 3 << 18;
constexpr u32 kX2Icr = 0x830, kX2SelfIpi = 0x83F;

struct Apics : BareMachine {
    explicit Apics(unsigned count = 4) : BareMachine(count) {
        for (unsigned i = 0; i < count; ++i) apic(i).mmio_write(kSvr, 0x1FF);
    }
    void send(unsigned from, u8 destination, u32 low) {
        apic(from).mmio_write(kIcrHigh, u32{destination} << 24);
        apic(from).mmio_write(kIcrLow, low);
    }
    /// Which APICs have a vector waiting, as bits; takes them.
    unsigned takers(u8 vector) {
        unsigned who = 0;
        for (unsigned i = 0; i < cpus.size(); ++i) {
            int got = apic(i).acknowledge();
            if (got < 0) continue;
            CHECK(got == vector);
            if (x2)
                CHECK(apic(i).write_x2apic(0x80B, 0));
            else
                apic(i).mmio_write(0xB0, 0);
            who |= 1u << i;
        }
        return who;
    }
    bool x2 = false;
    void to_x2apic() {
        x2 = true;
        for (unsigned i = 0; i < cpus.size(); ++i) REQUIRE(apic(i).set_base(apic(i).base() | 1 << 10));
    }
    bool send_x2(unsigned from, u32 destination, u32 low) {
        return apic(from).write_x2apic(kX2Icr, u64{destination} << 32 | low);
    }
};

}  // namespace

TEST_CASE("apic fabric: a physical destination reaches one APIC, FFh all") {
    Apics m;
    m.send(0, 2, 0x41 | kAssert);
    CHECK(m.takers(0x41) == 0b0100);
    m.send(1, 0xFF, 0x42 | kAssert);
    CHECK(m.takers(0x42) == 0b1111);
    m.send(1, 9, 0x43 | kAssert);
    CHECK(m.takers(0x43) == 0);
}

TEST_CASE("apic fabric: shorthands: self, all, all others") {
    Apics m;
    m.send(1, 3, 0x41 | kSelf | kAssert);
    CHECK(m.takers(0x41) == 0b0010);
    m.send(1, 3, 0x42 | kAll | kAssert);
    CHECK(m.takers(0x42) == 0b1111);
    m.send(1, 3, 0x43 | kOthers | kAssert);
    CHECK(m.takers(0x43) == 0b1101);
}

TEST_CASE("apic fabric: logical destinations, flat and clustered") {
    Apics m;
    for (unsigned i = 0; i < 4; ++i) m.apic(i).mmio_write(kLdr, 1u << (24 + i));
    m.send(0, 0b1010, 0x51 | kLogical | kAssert);
    CHECK(m.takers(0x51) == 0b1010);
    for (unsigned i = 0; i < 4; ++i) {
        m.apic(i).mmio_write(kDfr, 0x0FFFFFFF);
        m.apic(i).mmio_write(kLdr, ((i / 2) << 4 | 1u << (i % 2)) << 24);  // clusters 0 and 1 of two
    }
    m.send(0, 0x13, 0x52 | kLogical | kAssert);
    CHECK(m.takers(0x52) == 0b1100);
    m.send(0, 0x02, 0x53 | kLogical | kAssert);
    CHECK(m.takers(0x53) == 0b0010);
}

TEST_CASE("apic fabric: lowest priority reaches exactly one enabled APIC of those named") {
    Apics m;
    m.apic(0).mmio_write(kSvr, 0xFF);  // disabled by software
    m.send(3, 0xFF, 0x61 | kLowest | kAssert);
    unsigned who = m.takers(0x61);
    CHECK(std::popcount(who) == 1);
    CHECK((who & 1) == 0);
}

TEST_CASE("apic fabric: NMI, INIT and start-up reach the processor, INIT de-assert nobody") {
    Apics m(2);
    m.send(1, 0, kNmi | kAssert);
    CHECK(m.cpu(0).wakeup_pending());
    CHECK_FALSE(m.apic(0).init_pending());
    m.send(0, 1, kInit | 1 << 15);  // level, de-asserted
    CHECK_FALSE(m.apic(1).init_pending());
    m.send(0, 1, kInit | kAssert);
    CHECK(m.apic(1).init_pending());
    CHECK(m.apic(1).take_init());
    m.send(0, 1, kStartup | 0x9A);
    u8 page = 0;
    REQUIRE(m.apic(1).take_sipi(page));
    CHECK(page == 0x9A);
    CHECK_FALSE(m.apic(1).take_sipi(page));
}

TEST_CASE("apic fabric: a vector below 16 is a send error and goes nowhere") {
    Apics m(2);
    m.send(0, 1, 0x0F | kAssert);
    CHECK(m.takers(0x0F) == 0);
    m.apic(0).mmio_write(kErrorStatus, 0);
    CHECK(m.apic(0).mmio_read(kErrorStatus) & 1 << 5);
}

TEST_CASE("apic fabric: x2APIC: 32-bit destinations, broadcast, logical clusters, self IPI") {
    Apics m(20);
    m.to_x2apic();
    CHECK(m.send_x2(0, 17, 0x71 | kAssert));
    CHECK(m.takers(0x71) == 1u << 17);
    CHECK(m.send_x2(0, ~0u, 0x72 | kAssert));
    CHECK(m.takers(0x72) == (1u << 20) - 1);
    CHECK(m.send_x2(3, 0x0001000A, 0x73 | kLogical | kAssert));  // cluster 1, members 1 and 3: 17 and 19
    CHECK(m.takers(0x73) == (1u << 17 | 1u << 19));
    CHECK(m.send_x2(3, 0, 0x74 | kOthers | kAssert));
    CHECK(m.takers(0x74) == (((1u << 20) - 1) & ~(1u << 3)));
    CHECK(m.apic(5).write_x2apic(kX2SelfIpi, 0x75));
    CHECK(m.takers(0x75) == 1u << 5);
    CHECK(m.send_x2(0, 0xFF, 0x76 | kAssert));  // not a broadcast any more
    CHECK(m.takers(0x76) == 0);
}

TEST_CASE("apic fabric: messages of devices: an ExtINT raises the 8259's line, level comes with its EOI") {
    Apics m(2);
    ApicMessage message;
    message.destination = 1;
    message.vector = 0x81;
    message.level_triggered = true;
    m.fabric.deliver(message);
    CHECK(m.apic(1).acknowledge() == 0x81);
    CHECK(m.ended.empty());
    m.apic(1).mmio_write(0xB0, 0);
    CHECK(m.ended == std::vector<u8>{0x81});
    message.delivery = ApicDelivery::kSmi;  // no system management mode
    m.fabric.deliver(message);
    CHECK(m.apic(1).acknowledge() == -1);
}
