// SPDX-License-Identifier: MIT
#include "vmm/lines/char_port.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <filesystem>

#include "core/host/file.h"
#include "core/host/poll_loop.h"
#include "vmm/journal/journal.h"
#include "vmm/lines/char_open.h"
#include "vmm/lines/char_socket.h"

using namespace shadowbox;

namespace {

/// Takes what it has room for.
struct Receiver final : CharReceiver {
    unsigned room = 0;
    std::string got;
    unsigned can_receive() const override { return room; }
    void receive(std::span<const u8> bytes) override {
        REQUIRE(bytes.size() <= room);
        room -= static_cast<unsigned>(bytes.size());
        got.append(bytes.begin(), bytes.end());
    }
};

struct FakeLine final : CharLine {
    std::string sent;
    bool held = false, closed = false;
    void send(std::span<const u8> bytes) override { sent.append(bytes.begin(), bytes.end()); }
    void hold_input(bool hold) override { held = hold; }
    void close() override { closed = true; }
    void type(std::string_view text) { tell_input({reinterpret_cast<const u8*>(text.data()), text.size()}); }
};

std::span<const u8> bytes_of(std::string_view text) {
    return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

std::string temporary_path(const char* name) {
    return (std::filesystem::temp_directory_path() / fmt::format("shadowbox-{}-{}", getpid(), name)).string();
}

/// Collects what a line is told, for tests with the poll thread.
struct Collector {
    std::mutex mutex;
    std::condition_variable changed;
    std::string text;
    int connections = 0;
    void attach(CharLine& line) {
        line.on_input([this](std::span<const u8> bytes) {
            std::lock_guard lock(mutex);
            text.append(bytes.begin(), bytes.end());
            changed.notify_all();
        });
        line.on_connect([this] {
            std::lock_guard lock(mutex);
            ++connections;
            changed.notify_all();
        });
    }
    template <class Condition>
    bool wait(Condition condition) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, std::chrono::seconds(20), condition);
    }
};

}  // namespace

TEST_CASE("char port: input waits in the journal, then for room in the receiver") {
    auto owned = std::make_unique<FakeLine>();
    FakeLine& line = *owned;
    CharPort port(std::move(owned));
    Receiver receiver;
    port.set_receiver(&receiver);
    Journal journal;
    port.connect(journal, "serial0");
    line.type("hello");
    CHECK(receiver.got.empty());
    receiver.room = 2;
    journal.apply_all(0);
    CHECK(receiver.got == "he");
    receiver.room = 16;
    CHECK(receiver.got == "he");  // not inside the port access
    port.receiver_ready();
    CHECK(receiver.got == "he");
    journal.apply_all(1);
    CHECK(receiver.got == "hello");
}

TEST_CASE("char port: a flood is held at its source until the guest reads") {
    auto owned = std::make_unique<FakeLine>();
    FakeLine& line = *owned;
    CharPort port(std::move(owned));
    Receiver receiver;
    port.set_receiver(&receiver);
    Journal journal;
    port.connect(journal, "serial0");
    line.type(std::string(70'000, 'x'));
    CHECK(line.held);
    receiver.room = 100'000;
    journal.apply_all(0);
    CHECK(receiver.got.size() == 70'000);
    CHECK_FALSE(line.held);
    port.disconnect();
    CHECK(line.closed);
}

TEST_CASE("char port: output goes to the line and to the log") {
    std::string path = temporary_path("log");
    {
        auto owned = std::make_unique<FakeLine>();
        FakeLine& line = *owned;
        CharPort port(std::move(owned), std::move(*Stream::create_file(path)));
        port.write(bytes_of("boot\n"));
        CHECK(line.sent == "boot\n");
    }
    auto log = File::read_all(path);
    REQUIRE(log);
    CHECK(std::string(log->begin(), log->end()) == "boot\n");
    std::filesystem::remove(path);
}

TEST_CASE("socket line: a server talks to one client after the other") {
    PollLoop loop;
    auto listener = Stream::listen_tcp("127.0.0.1", 0);
    REQUIRE(listener);
    SocketLine server(loop, std::move(*listener), true, false);
    u16 port = server.local_port();
    Collector at_server;
    at_server.attach(server);
    server.open();
    for (int round = 1; round <= 2; ++round) {
        auto stream = Stream::connect_tcp("127.0.0.1", port);
        REQUIRE(stream);
        SocketLine client(loop, std::move(*stream), false, false);
        Collector at_client;
        at_client.attach(client);
        client.open();
        REQUIRE(at_server.wait([&] { return at_server.connections == round; }));
        client.send(bytes_of("ping"));
        REQUIRE(at_server.wait([&] { return at_server.text.size() == 4u * static_cast<unsigned>(round); }));
        server.send(bytes_of("pong"));
        REQUIRE(at_client.wait([&] { return at_client.text == "pong"; }));
        client.close();
    }
    server.send(bytes_of("nobody there"));  // lost, not stuck
    server.close();
}

TEST_CASE("socket line: a port or socket in use is one clear error") {
    auto first = Stream::listen_tcp("127.0.0.1", 0);
    REQUIRE(first);
    auto second = Stream::listen_tcp("127.0.0.1", first->local_port());
    REQUIRE_FALSE(second);
    CHECK(second.error().text().find("in use") != std::string::npos);
    std::string path = temporary_path("socket");
    auto unix_first = Stream::listen_unix(path);
    REQUIRE(unix_first);
    CHECK_FALSE(Stream::listen_unix(path));
    unix_first->close();
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("console: two guests share standard output, the escape key switches input") {
    int in[2], out[2];
    REQUIRE(pipe(in) == 0);
    REQUIRE(pipe(out) == 0);
    PollLoop loop;
    Collector a_got, b_got;
    std::string text;
    {
        CharConsole console(loop, {true, in[0], out[1]});
        auto a = console.add_guest("a"), b = console.add_guest("b");
        a_got.attach(*a);
        b_got.attach(*b);
        a->open();
        b->open();
        console.start();
        std::string_view typed =
            "1\x01n"
            "2\x01n"
            "3";
        REQUIRE(write(in[1], typed.data(), typed.size()) == static_cast<ssize_t>(typed.size()));
        CHECK(b_got.wait([&] { return b_got.text == "2"; }));
        CHECK(a_got.wait([&] { return a_got.text == "13"; }));
        a->send(bytes_of("from a\n"));
        b->send(bytes_of("from b\nunfinished"));
        console.finish();
        close(out[1]);
        char bytes[256];
        for (ssize_t count; (count = read(out[0], bytes, sizeof bytes)) > 0;)
            text.append(bytes, static_cast<std::size_t>(count));
    }
    CHECK(text == "[a] from a\n[b] from b\n[b] unfinished");
    for (int end : {in[0], in[1], out[0]}) close(end);
}
