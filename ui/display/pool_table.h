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

class PoolTable {
 public:
    explicit PoolTable(Host& host);
    ~PoolTable();

 private:
    void main();
    void draw();
    /// `text` with what keeps it in the lowest lines of a terminal of `lines` lines.
    std::string at_bottom(const std::string& text, unsigned lines);
    Host& host_;
    unsigned reserved_ = 0;  // lines of the terminal that do not scroll
    std::string shown_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace shadowbox
