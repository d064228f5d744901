// SPDX-License-Identifier: MIT
// FERR#, IRQ 13, IGNNE# and port F0H.
#include "devices/chipset/coprocessor_error.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/test_board.h"

using namespace shadowbox;

namespace {
struct Wired {
    test::Wire irq;
    bool ignne = false;
    CoprocessorError chip{irq.line(), [this](bool level) { ignne = level; }};
    void write() { chip.port_write(0, 1, 0); }
};
}  // namespace

TEST_CASE("coprocessor error: FERR# is IRQ 13 until port F0H is written, IGNNE# from then until FERR# goes") {
    Wired t;
    t.chip.set_ferr(true);
    CHECK(t.irq.level);
    CHECK_FALSE(t.ignne);
    t.write();
    CHECK_FALSE(t.irq.level);
    CHECK(t.ignne);
    t.chip.set_ferr(false);
    CHECK_FALSE(t.ignne);
    t.chip.set_ferr(true);
    CHECK(t.irq.rises == 2);
    t.chip.set_ferr(false);
    CHECK_FALSE(t.irq.level);
}

TEST_CASE("coprocessor error: a write without an error asserts nothing") {
    Wired t;
    t.write();
    CHECK_FALSE(t.ignne);
    t.chip.set_ferr(true);
    CHECK(t.irq.level);
}

TEST_CASE("coprocessor error: reset takes both wires back") {
    Wired t;
    t.chip.set_ferr(true);
    t.write();
    t.chip.reset();
    CHECK_FALSE(t.ignne);
    CHECK_FALSE(t.irq.level);
    t.write();
    CHECK_FALSE(t.ignne);
}

TEST_CASE("coprocessor error: a loaded state drives IGNNE# again") {
    Wired saved, loaded;
    saved.chip.set_ferr(true);
    saved.write();
    Archive out;
    saved.chip.serialize(out);
    Archive in(out.bytes());
    loaded.chip.serialize(in);
    CHECK(loaded.ignne);
    loaded.chip.set_ferr(false);
    CHECK_FALSE(loaded.ignne);
}
