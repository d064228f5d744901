// SPDX-License-Identifier: MIT
#include "vmm/lines/char_socket.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "core/log.h"

namespace shadowbox {

SocketLine::SocketLine(PollLoop& loop, Stream stream, bool server, bool wait)
    : loop_(loop), wait_(server && wait) {
    if (server)
        listener_ = std::move(stream);
    else
        peer_ = std::move(stream);
}

SocketLine::~SocketLine() { close(); }

void SocketLine::open() {
    {
        std::lock_guard lock(mutex_);
        if (open_) return;
        open_ = true;
    }
    if (listener_) {
        std::lock_guard lock(mutex_);  // a caller may come before watch() returns
        listener_watch_ =
            loop_.watch(listener_.descriptor(), true, false, [this](bool, bool) { caller_waits(); });
    } else {
        attach(std::move(peer_));
    }
}

void SocketLine::close() {
    unsigned watch, listener_watch;
    {
        std::lock_guard lock(mutex_);
        open_ = false;
        watch = std::exchange(peer_watch_, 0);
        listener_watch = std::exchange(listener_watch_, 0);
    }
    if (listener_watch) loop_.unwatch(listener_watch);
    if (watch) loop_.unwatch(watch);
    listener_.close();
    std::lock_guard lock(mutex_);
    if (peer_) flush_locked();
    peer_.close();
}

void SocketLine::caller_waits() {
    std::optional<Stream> caller = listener_.accept();
    if (!caller) return;
    // One at a time: the next caller waits until this one has left.
    {
        std::lock_guard lock(mutex_);
        loop_.change(listener_watch_, false, false);
    }
    attach(std::move(*caller));
}

void SocketLine::attach(Stream stream) {
    {
        std::lock_guard lock(mutex_);
        if (!open_) return;
        peer_ = std::move(stream);
        queue_.clear();
        hang_up_ = false;
        ++connection_;
        peer_watch_ = loop_.watch(peer_.descriptor(), !held_, false,
                                  [this](bool readable, bool writable) { ready(readable, writable); });
        connected_.notify_all();
    }
    tell_connected();
}

void SocketLine::detach() {
    {
        std::lock_guard lock(mutex_);
        if (peer_watch_) loop_.unwatch(std::exchange(peer_watch_, 0));
        peer_.close();
        queue_.clear();
        held_ = tell_drained_ = false;  // whoever held it did so for this caller
        if (listener_watch_) loop_.change(listener_watch_, true, false);
    }
    tell_disconnected();
}

void SocketLine::ready(bool readable, bool writable) {
    std::array<u8, 4096> bytes;
    StreamResult result;
    bool drained = false;
    {
        std::lock_guard lock(mutex_);
        if (!peer_) return;
        if (writable) flush_locked();
        if (queue_.size() <= kBlockedAbove) drained = std::exchange(tell_drained_, false);
        if (hang_up_ && queue_.empty())
            result.ended = true;
        else if (readable)
            result = peer_.read(bytes);
    }
    if (drained) tell_drained();
    if (result.bytes) tell_input(std::span(bytes).first(result.bytes));
    if (result.ended) detach();
}

void SocketLine::flush_locked() {
    while (!queue_.empty()) {
        std::vector<u8> piece(
            queue_.begin(), queue_.begin() + static_cast<long>(std::min<std::size_t>(queue_.size(), 65536)));
        StreamResult result = peer_.write(piece);
        queue_.erase(queue_.begin(), queue_.begin() + static_cast<long>(result.bytes));
        if (result.ended) queue_.clear();  // the read side sees the end and detaches
        if (result.bytes < piece.size()) break;
    }
    update_watch_locked();
}

void SocketLine::update_watch_locked() {
    if (peer_watch_) loop_.change(peer_watch_, !held_, !queue_.empty() || hang_up_);
}

void SocketLine::send(std::span<const u8> bytes) {
    std::lock_guard lock(mutex_);
    send_locked(bytes);
}

void SocketLine::send_to(u64 connection, std::span<const u8> bytes) {
    std::lock_guard lock(mutex_);
    if (connection == connection_) send_locked(bytes);
}

u64 SocketLine::connection() {
    std::lock_guard lock(mutex_);
    return connection_;
}

bool SocketLine::blocked() {
    std::lock_guard lock(mutex_);
    tell_drained_ = peer_ && queue_.size() > kBlockedAbove;
    return tell_drained_;
}

/// One message may go beyond the limit, so that a long answer arrives whole.
void SocketLine::send_locked(std::span<const u8> bytes) {
    if (!peer_) return;
    if (queue_.size() > kMostQueued) {
        if (!std::exchange(dropped_, true))
            spdlog::warn("a socket's reader does not keep up: output is being dropped");
        return;
    }
    queue_.insert(queue_.end(), bytes.begin(), bytes.end());
    flush_locked();
}

void SocketLine::hold_input(bool hold) {
    std::lock_guard lock(mutex_);
    held_ = hold;
    update_watch_locked();
}

void SocketLine::hang_up() {
    std::lock_guard lock(mutex_);
    hang_up_ = true;
    update_watch_locked();
}

bool SocketLine::wait_connected(const std::function<bool()>& give_up) {
    std::unique_lock lock(mutex_);
    if (!wait_) return true;
    while (!peer_) {
        if (give_up()) return false;
        connected_.wait_for(lock, std::chrono::milliseconds(50));
    }
    return true;
}

}  // namespace shadowbox
