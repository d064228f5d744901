// SPDX-License-Identifier: MIT
// --pool-table: the pool and the guests as a table on stderr, drawn again once a second when something
// changed. On a terminal it has the lowest lines for itself and the guests' consoles scroll above it;
// elsewhere each drawing follows the last.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace shadowbox {

class Host;

/// At most 80 columns wide.
std::string pool_table_text(Host& host);

struct TerminalSize {
    unsigned lines = 0, columns = 0;
    friend bool operator==(const TerminalSize&, const TerminalSize&) = default;
};
/// The lines of the terminal that do not scroll, and its size when they were set apart.
struct PoolTableArea {
    unsigned lines = 0;
    TerminalSize size;
};
/// `text`, cut to the terminal's width, with what keeps it in the lowest lines; `area` is what the last call
/// left.
std::string pool_table_at_bottom(const std::string& text, TerminalSize size, PoolTableArea& area);

class PoolTable {
 public:
    explicit PoolTable(Host& host);
    ~PoolTable();

 private:
    void main();
    void draw();
    Host& host_;
    PoolTableArea area_;
    std::string shown_;
    TerminalSize shown_size_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace shadowbox
