// SPDX-License-Identifier: MIT
#include "ui/control/command_input.h"

#include <utility>

namespace shadowbox {

CommandInput::CommandInput(CommandThread& commands, CharLine& line, bool drop_at_hang_up, Handlers handlers)
    : commands_(commands), line_(line), drop_at_hang_up_(drop_at_hang_up), handlers_(std::move(handlers)) {}

void CommandInput::open() {
    line_.on_connect([this] {
        commands_.post([this, connection = line_.connection()] {
            if (std::exchange(connection_, connection) != connection) drop();
            handlers_.connected();
        });
    });
    line_.on_input([this](std::span<const u8> bytes) {
        waits(bytes.size());
        commands_.post(
            [this, connection = line_.connection(), text = std::string(bytes.begin(), bytes.end())] {
                if (connection != connection_) return taken(text.size());
                pending_ += text;
                work();
            });
    });
    line_.on_drained([this] { commands_.post([this] { work(); }); });
    line_.on_disconnect([this] {
        {
            std::lock_guard lock(mutex_);
            held_ = false;  // the line lets the next caller speak
        }
        left_ = line_.connection();
        commands_.post([this] { work(); });
    });
    line_.open();
}

void CommandInput::send(std::string_view text) {
    line_.send_to(connection_, {reinterpret_cast<const u8*>(text.data()), text.size()});
}

void CommandInput::waits(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    waiting_ += bytes;
    if (waiting_ > kHoldAbove && !std::exchange(held_, true)) line_.hold_input(true);
}

void CommandInput::taken(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    waiting_ -= bytes;
    if (waiting_ < kResumeBelow && std::exchange(held_, false)) line_.hold_input(false);
}

void CommandInput::drop() {
    taken(pending_.size());
    pending_ = {};
}

void CommandInput::work() {
    while (!pending_.empty()) {
        bool next_is_here = line_.connection() != connection_;
        if (next_is_here || (drop_at_hang_up_ && left_ == connection_)) return drop();
        if (line_.blocked()) return;
        std::size_t took = handlers_.take(pending_);
        pending_.erase(0, took);
        taken(took);
    }
}

}  // namespace shadowbox
