// SPDX-License-Identifier: MIT
#include "vmm/lines/char_console.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/host/thread.h"
#include "core/log.h"

namespace shadowbox {

/// One user of the terminal.
class CharConsole::Line final : public CharLine {
 public:
    Line(CharConsole& console, unsigned number, std::string name, bool monitor, unsigned writer)
        : console(console), number(number), name(std::move(name)), monitor(monitor), writer(writer) {}
    ~Line() override { close(); }
    void send(std::span<const u8> bytes) override { console.write(number, bytes); }
    void open() override {
        std::lock_guard lock(console.lines_mutex_);
        open_ = true;
    }
    void close() override {
        std::lock_guard lock(console.lines_mutex_);
        open_ = false;
        console.lines_[number] = nullptr;
    }
    void hold_input(bool hold) override {
        held = hold;
        console.loop_.post([&console = console] { console.update_input_watch(); });
    }
    void give(std::span<const u8> bytes) {
        if (open_) tell_input(bytes);
    }
    void selected() {
        if (open_) tell_connected();
    }

    CharConsole& console;
    const unsigned number;
    const std::string name;
    const bool monitor;
    const unsigned writer;
    std::atomic<bool> held{false};

 private:
    bool open_ = false;  // guarded by lines_mutex_
};

CharConsole::CharConsole(PollLoop& loop, Options options)
    : loop_(loop),
      options_(options),
      stdin_(Stream::standard(options.input)),
      stdout_(Stream::standard(options.output)) {
    writer_ = std::thread([this] { writer_main(); });
}

CharConsole::~CharConsole() { finish(); }

std::unique_ptr<CharLine> CharConsole::add_guest(const std::string& name) {
    unsigned writer;
    {
        std::lock_guard lock(mutex_);
        writer = prefixer_.add(name);
    }
    std::lock_guard lock(lines_mutex_);
    auto line = std::make_unique<Line>(*this, static_cast<unsigned>(lines_.size()), name, false, writer);
    lines_.push_back(line.get());
    return line;
}

std::unique_ptr<CharLine> CharConsole::add_monitor() {
    std::lock_guard lock(lines_mutex_);
    auto line = std::make_unique<Line>(*this, static_cast<unsigned>(lines_.size()), "monitor", true, 0);
    monitor_ = line->number;
    lines_.push_back(line.get());
    return line;
}

void CharConsole::start() {
    if (lines_.empty() || started_) return;
    started_ = true;
    escape_active_ = options_.escape_key || lines_.size() > 1 || is_terminal(options_.input);
    // Without the escape key Ctrl-C is how this process is ended; with it, it is the guest's, as in QEMU.
    if (options_.input == 0) terminal_ = std::make_unique<RawTerminal>(!options_.escape_key);
    selected_ = 0;
    if (lines_.size() == 1 && lines_[0] && lines_[0]->monitor) lines_[0]->selected();
    input_watch_ = loop_.watch(stdin_.descriptor(), true, false, [this](bool, bool) { input_ready(); });
}

void CharConsole::finish() {
    if (unsigned watch = input_watch_.exchange(0)) loop_.unwatch(watch);
    {
        std::lock_guard lock(mutex_);
        finishing_ = true;
        changed_.notify_all();
    }
    if (writer_.joinable()) writer_.join();
    terminal_.reset();
}

void CharConsole::abandon() {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
    changed_.notify_all();
}

// --- input, on the poll thread ---

void CharConsole::input_ready() {
    std::array<u8, 4096> bytes;
    StreamResult result = stdin_.read(bytes);
    // The end of standard input is no order to stop (design section 8).
    if (result.ended) return loop_.unwatch(input_watch_.exchange(0));
    input(std::span(bytes).first(result.bytes));
}

void CharConsole::input(std::span<const u8> bytes) {
    std::vector<u8> run;
    auto deliver = [&] {
        std::lock_guard lock(lines_mutex_);
        if (!run.empty() && selected_ < lines_.size() && lines_[selected_]) lines_[selected_]->give(run);
        run.clear();
    };
    for (u8 byte : bytes) {
        EscapeKey::Action action = escape_active_ ? escape_.feed(byte) : EscapeKey::Action::kPass;
        if (action == EscapeKey::Action::kPass) {
            run.push_back(byte);
            continue;
        }
        deliver();
        act(action);
    }
    deliver();
}

void CharConsole::act(EscapeKey::Action action) {
    switch (action) {
        case EscapeKey::Action::kQuit:
            if (quit_) quit_();
            break;
        case EscapeKey::Action::kHelp: note(help()); break;
        case EscapeKey::Action::kMonitor:
            if (monitor_ == ~0u)
                note("no monitor here; start with -monitor stdio or -nographic\n");
            else if (selected_ == monitor_)
                select(before_monitor_);
            else
                before_monitor_ = selected_, select(monitor_);
            break;
        case EscapeKey::Action::kNextGuest: {
            unsigned next = selected_;
            std::unique_lock lock(lines_mutex_);
            for (std::size_t i = 0; i < lines_.size(); ++i) {
                next = (next + 1) % static_cast<unsigned>(lines_.size());
                if (lines_[next] && !lines_[next]->monitor) break;
            }
            lock.unlock();
            select(next);
            break;
        }
        default: break;
    }
}

void CharConsole::select(unsigned line) {
    std::string name;
    {
        std::lock_guard lock(lines_mutex_);
        if (line >= lines_.size() || !lines_[line]) return;
        bool tell = selected_ != line;
        selected_ = line;
        name = lines_[line]->name;
        if (lines_[line]->monitor) {
            lines_[line]->selected();
            tell = false;
        }
        if (!tell || lines_.size() < 2) return;
    }
    if (is_terminal(options_.output)) note("input: " + name + "\n");
    update_input_watch();
}

void CharConsole::update_input_watch() {
    std::lock_guard lock(lines_mutex_);
    // A person's escape key must always work; a file or pipe can wait.
    bool hold = !is_terminal(options_.input) && selected_ < lines_.size() && lines_[selected_] &&
                lines_[selected_]->held;
    if (unsigned watch = input_watch_) loop_.change(watch, !hold, false);
}

std::string CharConsole::help() const {
    return "Ctrl-A h  this help\nCtrl-A x  quit\nCtrl-A c  monitor, and back\nCtrl-A n  input to the next "
           "guest\n"
           "Ctrl-A Ctrl-A  sends Ctrl-A\n";
}

// --- output ---

void CharConsole::note(const std::string& text) {
    std::lock_guard lock(mutex_);
    prefixer_.write_plain(text, queue_);
    changed_.notify_all();
}

void CharConsole::write(unsigned number, std::span<const u8> bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    bool monitor = number == monitor_;
    unsigned writer = 0;
    if (!monitor) {
        std::lock_guard lock(lines_mutex_);
        if (!lines_[number]) return;
        writer = lines_[number]->writer;
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return queue_.size() < kMostQueued || abandoned_ || reader_gone_; });
    if (queue_.size() >= kMostQueued || reader_gone_) return;
    if (monitor)
        prefixer_.write_plain(text, queue_);
    else
        prefixer_.write(writer, text, queue_);
    flushed_ = false;
    changed_.notify_all();
}

/// True when the reader is gone, or does not read and nobody wants to wait for it any more.
bool CharConsole::write_out(std::span<const u8> bytes) {
    while (!bytes.empty()) {
        while (!stdout_.wait_writable(100)) {
            std::lock_guard lock(mutex_);
            if (abandoned_) return true;
        }
        std::span<const u8> piece =
            bytes.first(std::min<std::size_t>(bytes.size(), 4096));  // what a pipe takes without waiting
        if (stdout_.write(piece).ended) return true;
        bytes = bytes.subspan(piece.size());
    }
    return false;
}

void CharConsole::writer_main() {
    name_thread("stdout");
    std::unique_lock lock(mutex_);
    for (;;) {
        if (queue_.empty()) {
            auto something = [this] { return !queue_.empty() || finishing_ || !flushed_; };
            if (prefixer_.holds_partial() && !finishing_) {
                // Nothing new for a while: somebody wrote a prompt.
                flushed_ = true;
                bool quiet = !changed_.wait_for(lock, std::chrono::milliseconds(50), something);
                if (quiet) prefixer_.flush_partial(queue_);
            } else {
                flushed_ = true;
                changed_.wait(lock, something);
            }
            if (finishing_) prefixer_.flush_partial(queue_);
        }
        if (finishing_ && queue_.empty()) return;
        if (queue_.empty()) continue;
        std::string text;
        text.swap(queue_);
        changed_.notify_all();
        lock.unlock();
        errno = 0;
        bool gone = write_out({reinterpret_cast<const u8*>(text.data()), text.size()});
        int problem = errno;
        lock.lock();
        if (gone && !std::exchange(reader_gone_, true))
            spdlog::warn("cannot write to standard output: {}: serial output is lost",
                         problem && problem != EPIPE ? std::strerror(problem) : "its reader is gone");
        if (reader_gone_) queue_.clear();
    }
}

}  // namespace shadowbox
