// SPDX-License-Identifier: MIT
// core/host: files and their locks, memory regions, WakeEvent; and the small rest of core: errors, inspect,
// oddities.
#include <catch2/catch.hpp>
#include <cstdio>
#include <thread>

#include <spdlog/sinks/base_sink.h>

#include "core/check.h"
#include "core/host/file.h"
#include "core/host/host_time.h"
#include "core/host/memory_map.h"
#include "core/host/thread.h"
#include "core/inspect.h"
#include "core/log.h"

using namespace shadowbox;

TEST_CASE("file: what is written at an offset is read back; reading past the end is an error") {
    Expected<File> file = File::temporary();
    REQUIRE(file);
    u8 bytes[] = {1, 2, 3, 4};
    REQUIRE(file->write(1000, bytes));
    CHECK(*file->size() == 1004);
    u8 back[4] = {};
    REQUIRE(file->read(1000, back));
    CHECK(back[3] == 4);
    Expected<void> beyond = file->read(1002, back);
    REQUIRE_FALSE(beyond);
    CHECK(beyond.error().code == ErrorCode::kIo);
    REQUIRE(file->discard(1000, 2));
    REQUIRE(file->read(1000, back));
    CHECK(back[0] == 0);
    CHECK(back[2] == 3);
    CHECK(file->flush());
}

TEST_CASE("file: a missing file and a directory are told apart") {
    CHECK(File::open("/nonexistent/image.raw", File::Mode::kReadOnly).error().code == ErrorCode::kNotFound);
    CHECK_FALSE(File::open("/tmp", File::Mode::kReadOnly));
    CHECK(File::open("/nonexistent/image.raw", File::Mode::kReadOnly).error().text().find("image.raw") !=
          std::string::npos);
}

TEST_CASE("file: a second opening cannot lock a file that is locked exclusively") {
    std::string path = "/tmp/shadowbox-lock-test-" + std::to_string(host_monotonic_ns());
    Expected<File> first = File::open(path, File::Mode::kCreate);
    REQUIRE(first);
    {
        Expected<File> second = File::open(path, File::Mode::kReadWrite);
        REQUIRE(second);
        REQUIRE(first->lock_exclusive());
        Expected<void> refused = second->lock_shared();
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::kDenied);
    }
    // Closing the other descriptor must not have dropped the lock, as classic POSIX locks would.
    Expected<File> third = File::open(path, File::Mode::kReadWrite);
    CHECK_FALSE(third->lock_exclusive());
    *first = File();
    CHECK(third->lock_shared());
    std::remove(path.c_str());
}

TEST_CASE("memory map: aligned, zero, and zero again after release, for both backings") {
    for (auto backing : {MemoryMap::Backing::kAnonymous, MemoryMap::Backing::kShared}) {
        Expected<MemoryMap> map = MemoryMap::reserve(u64{4} << 20, u64{2} << 20, backing);
        REQUIRE(map);
        CHECK(reinterpret_cast<u64>(map->data()) % (u64{2} << 20) == 0);
        CHECK(map->data()[12345] == 0);
        map->data()[12345] = 7;
        map->data()[8192] = 9;
        REQUIRE(map->release(8192, 8192));
        CHECK(map->data()[12345] == 0);
        CHECK(map->data()[8192] == 0);
    }
}

TEST_CASE("wake event: a signal before the wait is kept, a passed deadline returns false") {
    WakeEvent event;
    event.signal();
    event.signal();
    CHECK(event.wait_until(WakeEvent::kForever));
    CHECK_FALSE(event.wait_until(host_monotonic_ns()));
    std::thread other([&] { event.signal(); });
    CHECK(event.wait_until(WakeEvent::kForever));
    other.join();
}

TEST_CASE("inspect: the tree prints with two blanks a level, registers padded to their size") {
    InspectNode root{"pit", {}, {}};
    Inspector inspector(root);
    Inspector channel = inspector.group("channel 0");
    inspector.field("gate", true);
    channel.hex("count", static_cast<u16>(0xAB));
    CHECK(inspect_text(root) == "pit\n  channel 0\n    count: 0x00ab\n  gate: true\n");
}

TEST_CASE("errors: the text of a cause follows the message") {
    Error inner{ErrorCode::kIo, "disk on fire", nullptr};
    tl::unexpected<Error> outer = wrap_error(inner, "cannot open '{}'", "a.img");
    CHECK(outer.value().text() == "cannot open 'a.img': disk on fire");
    CHECK(outer.value().code == ErrorCode::kIo);
}

TEST_CASE("oddities: every one is counted, also those that print nothing") {
    CHECK(guest_oddity_count("test-kind") == 0);
    for (int i = 0; i < 100; ++i) guest_oddity("test-kind", "testing the counter");
    CHECK(guest_oddity_count("test-kind") == 100);
}

TEST_CASE("log: an odd thing is told once for each guest, a habit never") {
    std::vector<std::string> lines;
    struct Sink final : spdlog::sinks::base_sink<std::mutex> {
        explicit Sink(std::vector<std::string>& lines) : lines(lines) {}
        void sink_it_(const spdlog::details::log_msg& message) override {
            lines.emplace_back(message.payload.begin(), message.payload.end());
        }
        void flush_() override {}
        std::vector<std::string>& lines;
    };
    auto before = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", std::make_shared<Sink>(lines)));
    for (const char* guest : {"ada", "grace", "ada"}) {
        GuestLogScope scope(guest);
        guest_oddity("named-kind", "something");
        guest_habit("habit-kind");
    }
    guest_oddity("named-kind", "something");
    spdlog::set_default_logger(before);
    CHECK(lines == std::vector<std::string>{"[ada] named-kind: something", "[grace] named-kind: something",
                                            "[guest] named-kind: something"});
    CHECK(guest_oddity_count("named-kind") == 4);
    CHECK(guest_oddity_count("habit-kind") == 3);
}
