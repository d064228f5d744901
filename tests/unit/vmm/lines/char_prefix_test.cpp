// SPDX-License-Identifier: MIT
#include "vmm/lines/char_prefix.h"

#include <catch2/catch.hpp>

#include "vmm/lines/char_escape.h"

using namespace shadowbox;

TEST_CASE("prefixer: a single guest's bytes pass unchanged and at once") {
    LinePrefixer prefixer;
    unsigned one = prefixer.add("one");
    std::string out;
    prefixer.write(one, "login: ", out);
    prefixer.write(one, "root\r\n", out);
    CHECK(out == "login: root\r\n");
    CHECK_FALSE(prefixer.holds_partial());
}

TEST_CASE("prefixer: with two guests every line has its guest's name") {
    LinePrefixer prefixer;
    unsigned a = prefixer.add("a"), b = prefixer.add("b");
    std::string out;
    prefixer.write(a, "hel", out);
    prefixer.write(b, "other\r\n", out);
    prefixer.write(a, "lo\r\nnext\r\n", out);
    CHECK(out == "[b] other\r\n[a] hello\r\n[a] next\r\n");
}

TEST_CASE("prefixer: a prompt is shown when it is flushed, and continues on its line") {
    LinePrefixer prefixer;
    unsigned a = prefixer.add("a"), b = prefixer.add("b");
    std::string out;
    prefixer.write(a, "login: ", out);
    CHECK(out.empty());
    CHECK(prefixer.holds_partial());
    prefixer.flush_partial(out);
    CHECK(out == "[a] login: ");
    prefixer.write(a, "root\r\n", out);
    CHECK(out == "[a] login: root\r\n");
    prefixer.write(a, "$ ", out);
    prefixer.flush_partial(out);
    prefixer.write(b, "x\r\n", out);
    CHECK(out == "[a] login: root\r\n[a] $ \r\n[b] x\r\n");
}

TEST_CASE("prefixer: carriage returns do not move back onto the prefix") {
    LinePrefixer prefixer;
    unsigned a = prefixer.add("a");
    prefixer.add("b");
    std::string out;
    prefixer.write(a, "\r\rtext\n", out);
    CHECK(out == "[a] text\n");
}

TEST_CASE("prefixer: a line without end is shown in pieces") {
    LinePrefixer prefixer;
    unsigned a = prefixer.add("a");
    prefixer.add("b");
    std::string out;
    prefixer.write(a, std::string(5000, 'x'), out);
    CHECK(out.size() >= 4096);
}

TEST_CASE("prefixer: the monitor's text starts on a line of its own") {
    LinePrefixer prefixer;
    unsigned a = prefixer.add("a");
    prefixer.add("b");
    std::string out;
    prefixer.write(a, "$ ", out);
    prefixer.flush_partial(out);
    prefixer.write_plain("(shadowbox) ", out);
    prefixer.write_plain("info\n", out);
    CHECK(out == "[a] $ \r\n(shadowbox) info\n");
}

TEST_CASE("escape key: Ctrl-A and a letter act, twice Ctrl-A sends one") {
    EscapeKey key;
    using Action = EscapeKey::Action;
    CHECK(key.feed('x') == Action::kPass);
    CHECK(key.feed(1) == Action::kNothing);
    CHECK(key.feed('x') == Action::kQuit);
    CHECK(key.feed('x') == Action::kPass);
    CHECK(key.feed(1) == Action::kNothing);
    CHECK(key.feed(1) == Action::kPass);
    CHECK(key.feed('c') == Action::kPass);
    key.feed(1);
    CHECK(key.feed('c') == Action::kMonitor);
    key.feed(1);
    CHECK(key.feed('n') == Action::kNextGuest);
    key.feed(1);
    CHECK(key.feed('h') == Action::kHelp);
    key.feed(1);
    CHECK(key.feed('z') == Action::kNothing);
    CHECK(key.feed('z') == Action::kPass);
}
