// SPDX-License-Identifier: MIT
#include "vmm/lines/char_port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/log.h"
#include "vmm/journal/journal.h"

namespace shadowbox {

CharPort::CharPort(std::unique_ptr<CharLine> line, Stream log)
    : line_(std::move(line)), log_(std::move(log)) {}

CharPort::~CharPort() { disconnect(); }

void CharPort::connect(Journal& journal, const std::string& name) {
    if (!line_) return;
    journal_ = &journal;
    source_ = journal.add_source(name, [this](std::span<const u8> bytes) {
        waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
        deliver();
    });
    line_->on_input([this](std::span<const u8> bytes) { input(bytes); });
    line_->open();
}

void CharPort::disconnect() {
    if (journal_ && line_) line_->close();
    journal_ = nullptr;
}

void CharPort::write(std::span<const u8> bytes) {
    if (log_ && log_.write(bytes).ended && !std::exchange(log_told_, true))
        spdlog::warn("cannot write a serial line's logfile: {}; output is being lost", std::strerror(errno));
    if (line_) line_->send(bytes);
}

void CharPort::input(std::span<const u8> bytes) {
    if (undelivered_.fetch_add(bytes.size()) + bytes.size() > kHoldAbove && !held_.exchange(true))
        line_->hold_input(true);
    journal_->post(source_, {bytes.begin(), bytes.end()});
}

void CharPort::receiver_ready() {
    // Not now: the caller is inside a port access. An empty entry comes back as deliver() at a known guest
    // time.
    if (!waiting_.empty() && journal_) journal_->post(source_, {});
}

void CharPort::deliver() {
    while (!waiting_.empty() && receiver_) {
        std::size_t room = std::min<std::size_t>(receiver_->can_receive(), waiting_.size());
        if (room == 0) break;
        std::vector<u8> bytes(waiting_.begin(), waiting_.begin() + static_cast<long>(room));
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<long>(room));
        receiver_->receive(bytes);
        if (undelivered_.fetch_sub(room) - room < kResumeBelow && held_.exchange(false))
            line_->hold_input(false);
    }
}

}  // namespace shadowbox
