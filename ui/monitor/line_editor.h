// SPDX-License-Identifier: MIT
// Turns bytes into lines. On a terminal (echo) with backspace, Ctrl-U, Ctrl-W, Tab and a history on the up
// and down keys; elsewhere it only splits. Pure text work.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shadowbox {

class LineEditor {
 public:
    using Complete = std::function<std::vector<std::string>(std::string_view prefix)>;
    LineEditor(bool echo, Complete complete) : echo_(echo), complete_(std::move(complete)) {}
    /// Takes one byte; appends what the terminal should show to `out`. True when `line()` is complete.
    bool feed(char byte, std::string& out);
    /// The finished line; the next feed() starts a new one.
    const std::string& line() const { return finished_; }
    /// Somebody else types now.
    void reset() { text_.clear(), escape_ = 0; }
    const std::string& typed() const { return text_; }

 private:
    static constexpr std::size_t kLongest = 65536, kHistory = 100;
    void replace(const std::string& text, std::string& out);
    void escape(char byte, std::string& out);
    void complete(std::string& out);
    void erase(std::size_t count, std::string& out);
    bool echo_;
    Complete complete_;
    std::string text_, finished_;
    std::deque<std::string> history_;
    std::size_t history_at_ = 0;
    int escape_ = 0;  // bytes of an escape sequence seen
    bool last_return_ = false;
};

}  // namespace shadowbox
