// SPDX-License-Identifier: MIT
// Commands and answers belong to the connection they came from, and a caller who does not read cannot make
// the process grow.
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

#include "core/host/poll_loop.h"
#include "core/host/poll_set.h"
#include "ui/control/command_input.h"
#include "vmm/lines/char_socket.h"

using namespace shadowbox;

namespace {

/// Lines are commands; each is answered with `answer`. "gate" waits until open().
struct Server {
    explicit Server(bool drop_at_hang_up, std::string answer = "ok\n")
        : answer(std::move(answer)),
          line(loop, std::move(*Stream::listen_tcp("127.0.0.1", 0)), true, false),
          input(commands, line, drop_at_hang_up,
                {[this] { input.send("hello\n"); }, [this](std::string_view bytes) { return take(bytes); }}) {
        input.open();
    }
    ~Server() {
        open();
        line.close();
        commands.finish();
    }
    std::size_t take(std::string_view bytes) {
        std::size_t end = bytes.find('\n');
        if (end == std::string_view::npos) return bytes.size();
        std::unique_lock lock(mutex);
        done.emplace_back(bytes.substr(0, end));
        changed.notify_all();
        if (done.back() == "gate") changed.wait(lock, [this] { return opened; });
        lock.unlock();
        input.send(answer);
        return end + 1;
    }
    void open() {
        std::lock_guard lock(mutex);
        opened = true;
        changed.notify_all();
    }
    void wait_for(std::size_t count) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return done.size() >= count; });
    }
    std::size_t count() {
        std::lock_guard lock(mutex);
        return done.size();
    }

    std::string answer;
    PollLoop loop;
    SocketLine line;
    CommandThread commands;
    CommandInput input;
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> done;
    bool opened = false;
};

struct Caller {
    explicit Caller(Server& server)
        : stream(std::move(*Stream::connect_tcp("127.0.0.1", server.line.local_port()))) {}
    void say(std::string_view text) { stream.write({reinterpret_cast<const u8*>(text.data()), text.size()}); }
    std::string hear(std::size_t least) {
        std::string text;
        std::array<u8, 4096> bytes;
        PollSet set;
        while (text.size() < least) {
            set.clear();
            set.add(stream.descriptor(), PollSet::kRead);
            set.wait(-1);
            StreamResult result = stream.read(bytes);
            if (result.ended) break;
            text.append(reinterpret_cast<const char*>(bytes.data()), result.bytes);
        }
        return text;
    }
    Stream stream;
};

}  // namespace

TEST_CASE("control: an answer never reaches the next caller") {
    for (bool drop : {false, true}) {
        Server server(drop, "secret\n");
        {
            Caller first(server);
            CHECK(first.hear(6) == "hello\n");
            first.say("gate\none\ntwo\nthree\n");
            server.wait_for(1);
        }
        Caller second(server);  // is there before the first one's command has ended
        while (server.line.connection() != 2) std::this_thread::yield();
        server.open();
        server.commands.drain();
        CHECK(second.hear(6) == "hello\n");
        CHECK(server.count() == 1);  // and its other commands went with it
        second.say("four\n");
        CHECK(second.hear(7) == "secret\n");
    }
}

TEST_CASE("control: commands of who has left run in a monitor, and go with it in QMP") {
    for (bool drop : {false, true}) {
        Server server(drop);
        {
            Caller caller(server);
            caller.hear(6);
            caller.say("gate\nsystem_powerdown\n");
            server.wait_for(1);
        }
        // The hang-up is known once the line takes the next caller; QEMU's monitor still carries out what it
        // read.
        if (drop) {
            Caller next(server);
            while (server.line.connection() != 2) std::this_thread::yield();
            server.open();
            server.commands.drain();
            CHECK(server.count() == 1);
        } else {
            server.open();
            server.wait_for(2);
        }
    }
}

TEST_CASE("control: input stops while its answers are not read") {
    Server server(false, std::string(100'000, 'x') + "\n");
    Caller caller(server);
    caller.hear(6);
    constexpr unsigned kCommands = 2000;  // 200 MB of answers
    std::string all;
    for (unsigned i = 0; i < kCommands; ++i) all += "dump\n";
    caller.say(all);
    server.wait_for(1);
    // Quiet: all the command thread may do is done. What the two sockets hold is some MiB.
    std::size_t before, now = 0;
    do {
        before = now;
        for (int i = 0; i < 1000; ++i) server.commands.drain(), std::this_thread::yield();
        now = server.count();
    } while (now != before);
    CHECK(now < kCommands / 4);  // all 10 KB of commands are here, and wait
    // The reader wakes up: everything comes.
    CHECK(caller.hear(kCommands * std::size_t{100'001}).size() == kCommands * std::size_t{100'001});
    CHECK(server.count() == kCommands);
}
