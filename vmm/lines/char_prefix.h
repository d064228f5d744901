// SPDX-License-Identifier: MIT
// Several guests on one standard output: whole lines, each with "[name] " in front. A line that is not
// finished (a prompt) is held back until flush_partial(), so that two guests that print at once do not cut
// each other's lines to pieces. Pure text work: knows neither threads nor descriptors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shadowbox {

class LinePrefixer {
 public:
    /// Returns the writer's number. With one writer nothing is prefixed or held back.
    unsigned add(std::string name);
    /// Appends what can be shown now to `out`.
    void write(unsigned writer, std::string_view bytes, std::string& out);
    /// Shows unfinished lines.
    void flush_partial(std::string& out);
    /// Text of nobody (the monitor), on lines of its own unless it continues itself.
    void write_plain(std::string_view bytes, std::string& out);
    bool holds_partial() const;
    unsigned writers() const { return static_cast<unsigned>(writers_.size()); }

 private:
    static constexpr unsigned kNobody = ~0u;
    /// A line longer than this is shown in pieces.
    static constexpr std::size_t kLongest = 4096;
    struct Writer {
        std::string prefix, held;
    };
    void show(unsigned writer, std::string_view piece, std::string& out);
    std::vector<Writer> writers_;
    unsigned last_ = kNobody;  // who wrote last
    bool line_start_ = true;
};

}  // namespace shadowbox
