// SPDX-License-Identifier: MIT
// The process's terminal, shared by the guests whose serial lines are on stdio and by the monitor. Output is
// queued and written by a thread of its own, so that a slow reader of our standard output holds up no device
// (only a queue of 16 MiB full of it does). Input goes to one of them; the escape key (char_escape.h)
// switches.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/host/poll_loop.h"
#include "core/host/stream.h"
#include "core/host/terminal.h"
#include "vmm/lines/char_escape.h"
#include "vmm/lines/char_line.h"
#include "vmm/lines/char_prefix.h"

namespace shadowbox {

class CharConsole {
 public:
    struct Options {
        bool escape_key = false;  ///< even when stdin is no terminal
        int input = 0, output = 1;
    };
    CharConsole(PollLoop& loop, Options options);
    ~CharConsole();

    /// A guest's serial line. All lines are added before start(); they die before the console.
    std::unique_ptr<CharLine> add_guest(const std::string& name);
    std::unique_ptr<CharLine> add_monitor();
    void on_quit(std::function<void()> quit) { quit_ = std::move(quit); }
    /// Raw mode and input. Does nothing when nobody is on stdio.
    void start();
    /// Gives the terminal back and writes out what is queued.
    void finish();
    /// From now on a reader that does not read is not waited for.
    void abandon();
    bool escape_active() const { return escape_active_; }

 private:
    class Line;
    static constexpr std::size_t kMostQueued = 16 << 20;
    void write(unsigned line, std::span<const u8> bytes);
    void note(const std::string& text);
    void input_ready();
    void input(std::span<const u8> bytes);
    void act(EscapeKey::Action action);
    void select(unsigned line);
    bool write_out(std::span<const u8> bytes);
    void writer_main();
    void update_input_watch();
    std::string help() const;

    PollLoop& loop_;
    Options options_;
    Stream stdin_, stdout_;
    std::function<void()> quit_;
    std::unique_ptr<RawTerminal> terminal_;
    EscapeKey escape_;
    bool escape_active_ = false, started_ = false;
    std::atomic<unsigned> input_watch_{0};  // taken back by the poll thread at end of file, else by finish()

    std::mutex lines_mutex_;
    std::vector<Line*> lines_;  // in the order added; guarded by lines_mutex_
    unsigned selected_ = 0, monitor_ = ~0u, before_monitor_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    LinePrefixer prefixer_;  // guarded by mutex_, as all below
    std::string queue_;
    bool finishing_ = false, abandoned_ = false, flushed_ = true, reader_gone_ = false;
    std::thread writer_;
};

}  // namespace shadowbox
