// SPDX-License-Identifier: MIT
#include "vmm/journal/journal.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <string>
#include <thread>

using namespace shadowbox;

TEST_CASE(
    "journal: entries of all sources are applied in the order of posting, with their bytes, when they are "
    "asked for") {
    Journal journal;
    std::string seen;
    auto note = [&seen](const char* name) {
        return [&seen, name](std::span<const u8> bytes) {
            seen += fmt::format("{}{} ", name, std::string(bytes.begin(), bytes.end()));
        };
    };
    unsigned keys = journal.add_source("keys", note("k")), net = journal.add_source("net", note("n"));
    CHECK(keys != net);
    CHECK(journal.empty());
    journal.post(keys, {'1'});
    journal.post(net, {'2', '3'});
    journal.post(keys, {});
    CHECK_FALSE(journal.empty());
    CHECK(seen.empty());
    journal.apply_all(5);
    CHECK(seen == "k1 n23 k ");
    CHECK(journal.empty());
    journal.apply_all(6);
    CHECK(seen == "k1 n23 k ");
}

TEST_CASE(
    "journal: posting wakes the VM, and the observer sees time, source and bytes before they take effect") {
    Journal journal;
    unsigned wakes = 0;
    std::string order;
    unsigned source = journal.add_source("serial0", [&](std::span<const u8>) { order += "applied"; });
    journal.on_post([&] { ++wakes; });
    journal.set_observer([&](GuestNs when, const std::string& name, std::span<const u8> bytes) {
        order += fmt::format("{}@{}:{} ", name, when, bytes.size());
    });
    journal.post(source, {1, 2, 3});
    CHECK(wakes == 1);
    journal.apply_all(77);
    CHECK(order == "serial0@77:3 applied");
}

TEST_CASE("journal: what an entry posts while it is applied waits for the next time") {
    Journal journal;
    unsigned applied = 0, source = 0;
    source = journal.add_source("echo", [&](std::span<const u8>) {
        if (++applied < 10) journal.post(source, {0});
    });
    journal.post(source, {0});
    journal.apply_all(0);
    CHECK(applied == 1);
    journal.apply_all(1);
    CHECK(applied == 2);
}

TEST_CASE("journal: several threads post, nothing is lost and each thread's order is kept") {
    Journal journal;
    std::vector<u8> last(4);
    unsigned total = 0, wrong = 0;
    unsigned source = journal.add_source("s", [&](std::span<const u8> bytes) {
        ++total;
        wrong += bytes[1] != static_cast<u8>(last[bytes[0]]++);
    });
    std::vector<std::thread> threads;
    for (u8 t = 0; t < 4; ++t)
        threads.emplace_back([&journal, source, t] {
            for (unsigned i = 0; i < 200; ++i) journal.post(source, {t, static_cast<u8>(i)});
        });
    for (std::thread& thread : threads) thread.join();
    journal.apply_all(0);
    CHECK(total == 800);
    CHECK(wrong == 0);
}
