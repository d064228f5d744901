// SPDX-License-Identifier: MIT
#include "ui/monitor/line_editor.h"

namespace shadowbox {

void LineEditor::erase(std::size_t count, std::string& out) {
    for (; count && !text_.empty(); --count) {
        text_.pop_back();
        if (echo_) out += "\b \b";
    }
}

void LineEditor::replace(const std::string& text, std::string& out) {
    erase(text_.size(), out);
    text_ = text;
    if (echo_) out += text;
}

void LineEditor::escape(char byte, std::string& out) {
    if (escape_ == 1) {
        escape_ = byte == '[' || byte == 'O' ? 2 : 0;
        return;
    }
    if (byte >= '0' && byte <= ';') return;  // parameters
    escape_ = 0;
    if (byte == 'A' && history_at_ > 0)
        replace(history_[--history_at_], out);
    else if (byte == 'B' && history_at_ < history_.size())
        replace(++history_at_ == history_.size() ? "" : history_[history_at_], out);
}

void LineEditor::complete(std::string& out) {
    std::vector<std::string> found = complete_ ? complete_(text_) : std::vector<std::string>();
    if (found.empty()) return;
    std::size_t start = text_.starts_with("info ") ? 5 : 0;
    std::string common = found[0];
    for (const std::string& name : found)
        while (!name.starts_with(common)) common.pop_back();
    if (found.size() == 1) common += ' ';
    if (common.size() > text_.size() - start) {
        std::string more = common.substr(text_.size() - start);
        text_ += more;
        out += more;
    } else if (found.size() > 1) {
        out += '\n';
        for (const std::string& name : found) out += name + "  ";
        out += "\n" + text_;
    }
}

bool LineEditor::feed(char byte, std::string& out) {
    bool after_return = std::exchange(last_return_, byte == '\r');
    if (byte == '\n' && after_return) return false;  // CR LF is one end
    if (byte == '\r' || byte == '\n') {
        if (echo_) out += '\n';
        finished_ = std::exchange(text_, {});
        if (!finished_.empty() && (history_.empty() || history_.back() != finished_))
            history_.push_back(finished_);
        if (history_.size() > kHistory) history_.pop_front();
        history_at_ = history_.size();
        return true;
    }
    if (!echo_) {
        if (text_.size() < kLongest) text_ += byte;
        return false;
    }
    if (escape_) {
        escape(byte, out);
        return false;
    }
    switch (byte) {
        case 0x1B: escape_ = 1; break;
        case 0x08:
        case 0x7F: erase(1, out); break;
        case 0x15:
        case 0x03: erase(text_.size(), out); break;  // Ctrl-U, Ctrl-C
        case 0x17:                                   // Ctrl-W
            while (!text_.empty() && text_.back() == ' ') erase(1, out);
            while (!text_.empty() && text_.back() != ' ') erase(1, out);
            break;
        case '\t': complete(out); break;
        default:
            if (static_cast<unsigned char>(byte) < 0x20 || text_.size() >= kLongest) break;
            text_ += byte;
            out += byte;
    }
    return false;
}

}  // namespace shadowbox
