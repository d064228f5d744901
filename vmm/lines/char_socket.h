// SPDX-License-Identifier: MIT
// A CharLine on a TCP or Unix socket, as client or as server of one caller at a time. Without a caller output
// is lost, as on an unplugged cable. Also carries monitors and QMP.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

#include "core/host/poll_loop.h"
#include "core/host/stream.h"
#include "vmm/lines/char_line.h"

namespace shadowbox {

class SocketLine final : public CharLine {
 public:
    /// `stream` listens (`server`) or is connected.
    SocketLine(PollLoop& loop, Stream stream, bool server, bool wait);
    ~SocketLine() override;

    void send(std::span<const u8> bytes) override;
    void open() override;
    void close() override;
    void hold_input(bool hold) override;
    bool wait_connected(const std::function<bool()>& give_up) override;
    void hang_up() override;
    bool blocked() override;
    u64 connection() override;
    void send_to(u64 connection, std::span<const u8> bytes) override;
    u16 local_port() const { return listener_.local_port(); }

 private:
    /// What is more is dropped; what blocked() calls blocked.
    static constexpr std::size_t kMostQueued = 4 << 20, kBlockedAbove = 64 << 10;
    void send_locked(std::span<const u8> bytes);
    void caller_waits();
    void ready(bool readable, bool writable);
    void attach(Stream stream);
    void detach();  // poll thread or after unwatch; mutex_ not held
    void flush_locked();
    void update_watch_locked();

    PollLoop& loop_;
    const bool wait_;
    Stream listener_;
    std::mutex mutex_;
    std::condition_variable connected_;
    unsigned listener_watch_ = 0;  // guarded by mutex_, as all below
    Stream peer_;
    unsigned peer_watch_ = 0;
    std::deque<u8> queue_;
    bool held_ = false, dropped_ = false, open_ = false, hang_up_ = false, tell_drained_ = false;
    u64 connection_ = 0;
};

}  // namespace shadowbox
