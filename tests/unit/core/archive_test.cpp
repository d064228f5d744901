// SPDX-License-Identifier: MIT
// Archive: symmetric save and load, and loads of damaged bytes.
#include "core/archive.h"

#include <catch2/catch.hpp>

using namespace shadowbox;

namespace {

struct Part {
    u32 number = 0;
    bool flag = false;
    void serialize(Archive& archive) { archive(number, flag); }
};

struct Device {
    u16 word = 0;
    std::array<u8, 3> bytes{};
    std::vector<Part> parts;
    std::string text;
    u64 table[2] = {};
    u32 version = 0;
    void serialize(Archive& archive) {
        version = archive.section("device", 3);
        archive(word, bytes, parts, text, table);
    }
};

Device sample() {
    Device device;
    device.word = 0xBEEF;
    device.bytes = {1, 2, 3};
    device.parts = {{7, true}, {8, false}};
    device.text = "name";
    device.table[1] = 0x1122334455667788;
    return device;
}

}  // namespace

TEST_CASE("archive: what was saved is loaded, and saving it again gives the same bytes") {
    Device original = sample(), copy;
    Archive save;
    original.serialize(save);
    Archive load(save.bytes());
    copy.serialize(load);
    REQUIRE_FALSE(load.failed());
    CHECK(copy.version == 3);
    CHECK(copy.word == 0xBEEF);
    CHECK(copy.bytes == original.bytes);
    REQUIRE(copy.parts.size() == 2);
    CHECK(copy.parts[0].flag);
    CHECK(copy.parts[1].number == 8);
    CHECK(copy.text == "name");
    CHECK(copy.table[1] == 0x1122334455667788);
    Archive again;
    copy.serialize(again);
    CHECK(again.bytes() == save.bytes());
}

TEST_CASE("archive: every truncation fails and yields zeros instead of stray bytes") {
    Device original = sample();
    Archive save;
    original.serialize(save);
    for (std::size_t length = 0; length < save.bytes().size(); ++length) {
        Archive load(std::vector<u8>(save.bytes().begin(), save.bytes().begin() + static_cast<long>(length)));
        Device copy = sample();
        copy.serialize(load);
        CHECK(load.failed());
        CHECK(copy.table[1] == 0);
    }
}

TEST_CASE("archive: a wrong tag or a newer version fails, an older version is reported") {
    Archive save;
    save.section("pit", 2);
    Archive other(save.bytes());
    other.section("rtc", 2);
    CHECK(other.failed());
    Archive older_program(save.bytes());
    older_program.section("pit", 1);
    CHECK(older_program.failed());
    Archive newer_program(save.bytes());
    CHECK(newer_program.section("pit", 5) == 2);
    CHECK_FALSE(newer_program.failed());
}

TEST_CASE("archive: an absurd element count fails without allocating") {
    Archive save;
    u64 count = ~u64{0} / 2;
    save(count);
    Archive load(save.bytes());
    std::vector<u64> values;
    load(values);
    CHECK(load.failed());
    CHECK(values.empty());
}
