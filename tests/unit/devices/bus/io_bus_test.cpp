// SPDX-License-Identifier: MIT
// Port and MMIO routing: overlap, splitting, unclaimed addresses.
#include "devices/bus/io_bus.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace shadowbox;

namespace {
struct Log final : PortHandler, MmioHandler {
    unsigned widest = 4;
    std::vector<std::string> calls;
    u32 port_read(u16 offset, unsigned size) override {
        calls.push_back(fmt::format("r{}/{}", offset, size));
        return 0x44332211u >> (offset * 8);
    }
    void port_write(u16 offset, unsigned size, u32 value) override {
        calls.push_back(fmt::format("w{}/{}={:x}", offset, size, value));
    }
    unsigned widest_port_access() const override { return widest; }
    u64 mmio_read(u64 offset, unsigned size) override {
        calls.push_back(fmt::format("r{}/{}", offset, size));
        return 0x8877665544332211u >> (offset * 8);
    }
    void mmio_write(u64 offset, unsigned size, u64 value) override {
        calls.push_back(fmt::format("w{}/{}={:x}", offset, size, value));
    }
};
using Calls = std::vector<std::string>;
}  // namespace

TEST_CASE("io_bus: overlapping and impossible ranges are rejected") {
    PortBus bus;
    Log handler;
    CHECK(bus.add(0x20, 2, handler, "a"));
    CHECK_FALSE(bus.add(0x21, 1, handler, "b"));
    CHECK_FALSE(bus.add(0x1F, 2, handler, "c"));
    CHECK(bus.add(0x22, 1, handler, "d"));
    CHECK_FALSE(bus.add(0x30, 0, handler, "empty"));
    CHECK(bus.add(0xFFFF, 1, handler, "last"));
    CHECK_FALSE(bus.add(0xFFF0, 32, handler, "beyond"));
    bus.remove(0x20);
    CHECK(bus.add(0x21, 1, handler, "b"));
}

TEST_CASE("io_bus: an access is split for a narrow handler and joined again") {
    PortBus bus;
    Log handler;
    handler.widest = 1;
    bus.add(0x100, 4, handler, "narrow");
    CHECK(bus.read(0x100, 4) == 0x44332211);
    bus.write(0x101, 2, 0xBBAA);
    CHECK(handler.calls == Calls{"r0/1", "r1/1", "r2/1", "r3/1", "w1/1=aa", "w2/1=bb"});
}

TEST_CASE("io_bus: what nobody answers reads as ones, also in part") {
    PortBus bus;
    Log handler;
    bus.add(0x100, 2, handler, "two ports");
    CHECK(bus.read(0x50, 2) == 0xFFFF);
    CHECK(bus.read(0x100, 4) == 0xFFFF2211);
    CHECK(bus.read(0xFF, 2) == 0x11FF);
    bus.write(0x50, 4, 0);
    CHECK(bus.unclaimed() == 3);
}

TEST_CASE("io_bus: an access at the last port does not wrap into nothing") {
    PortBus bus;
    Log handler;
    bus.add(0xFFFF, 1, handler, "last");
    CHECK(bus.read(0xFFFF, 4) == 0xFFFFFF11);
}

TEST_CASE("io_bus: MMIO reaches handlers by offset in all sizes") {
    MmioBus bus;
    Log handler;
    CHECK(bus.add(Gpa(0xFED00000), 8, handler, "m"));
    CHECK_FALSE(bus.add(Gpa(0xFED00007), 8, handler, "n"));
    CHECK(bus.read(Gpa(0xFED00000), 8) == 0x8877665544332211u);
    CHECK(bus.read(Gpa(0xFED00004), 8) == 0xFFFFFFFF88776655u);
    bus.write(Gpa(0xFED00006), 4, 0xDDCCBBAA);
    CHECK(handler.calls == Calls{"r0/8", "r4/4", "w6/2=bbaa"});
}
