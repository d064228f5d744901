// SPDX-License-Identifier: MIT
#include "vmm/lines/char_prefix.h"

namespace shadowbox {

unsigned LinePrefixer::add(std::string name) {
    writers_.push_back({"[" + std::move(name) + "] ", {}});
    return writers() - 1;
}

/// `piece` has a newline at most at its end.
void LinePrefixer::show(unsigned writer, std::string_view piece, std::string& out) {
    if (piece.empty()) return;
    bool ends = piece.back() == '\n';
    if (!line_start_ && last_ != writer) {
        out += "\r\n";
        line_start_ = true;
    }
    if (line_start_ && writer != kNobody) {
        // A carriage return would take the cursor back onto the prefix.
        while (!piece.empty() && piece.front() == '\r' && piece != "\r\n") piece.remove_prefix(1);
        if (piece.empty()) return;
        out += writers_[writer].prefix;
    }
    out += piece;
    line_start_ = ends;
    last_ = writer;
}

void LinePrefixer::write(unsigned writer, std::string_view bytes, std::string& out) {
    if (writers_.size() < 2) {
        out += bytes;
        if (!bytes.empty()) line_start_ = bytes.back() == '\n', last_ = writer;
        return;
    }
    std::string& held = writers_[writer].held;
    while (!bytes.empty()) {
        std::size_t newline = bytes.find('\n');
        std::size_t count = newline == std::string_view::npos ? bytes.size() : newline + 1;
        held += bytes.substr(0, count);
        bytes.remove_prefix(count);
        if (newline != std::string_view::npos || held.size() >= kLongest) {
            show(writer, held, out);
            held.clear();
        }
    }
}

void LinePrefixer::flush_partial(std::string& out) {
    for (unsigned i = 0; i < writers(); ++i) {
        show(i, writers_[i].held, out);
        writers_[i].held.clear();
    }
}

bool LinePrefixer::holds_partial() const {
    for (const Writer& writer : writers_)
        if (!writer.held.empty()) return true;
    return false;
}

void LinePrefixer::write_plain(std::string_view bytes, std::string& out) {
    while (!bytes.empty()) {
        std::size_t newline = bytes.find('\n');
        std::size_t count = newline == std::string_view::npos ? bytes.size() : newline + 1;
        show(kNobody, bytes.substr(0, count), out);
        bytes.remove_prefix(count);
    }
}

}  // namespace shadowbox
