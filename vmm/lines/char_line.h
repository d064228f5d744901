// SPDX-License-Identifier: MIT
// The outside end of a serial line or a monitor: the terminal, a file, a socket. CharPort (serial lines) and
// ui/'s monitors sit on top. send() may be called on any thread; input is told on the poll thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/integers.h"

namespace shadowbox {

class CharLine {
 public:
    using Input = std::function<void(std::span<const u8>)>;
    virtual ~CharLine() = default;
    /// Never waits for the other end to read, except that the process's own standard output is waited for.
    virtual void send(std::span<const u8> bytes) = 0;
    /// Where input goes; before open().
    void on_input(Input input) { input_ = std::move(input); }
    /// Called when somebody connects; before open().
    void on_connect(std::function<void()> connected) { connected_ = std::move(connected); }
    /// Called when that connection ends, and when output that blocked() saw has left; before open().
    void on_disconnect(std::function<void()> disconnected) { disconnected_ = std::move(disconnected); }
    void on_drained(std::function<void()> drained) { drained_ = std::move(drained); }
    /// Whether so much output waits for its reader that more should not be made. True means that on_drained's
    /// or on_disconnect's call will come.
    virtual bool blocked() { return false; }
    /// Numbers connections, so that output for one never reaches the next.
    virtual u64 connection() { return 0; }
    virtual void send_to(u64 connection, std::span<const u8> bytes) { send(bytes); }
    /// Starts listening for input.
    virtual void open() {}
    /// After this no input is told any more.
    virtual void close() {}
    /// Leaves further input with its sender until the hold ends.
    virtual void hold_input(bool hold) {}
    /// For a server with wait=on: blocks until somebody connects; false if `give_up` turned true first.
    virtual bool wait_connected(const std::function<bool()>& give_up) { return true; }
    /// Ends the present connection; a server then waits for the next.
    virtual void hang_up() {}

 protected:
    void tell_input(std::span<const u8> bytes) {
        if (input_) input_(bytes);
    }
    void tell_connected() {
        if (connected_) connected_();
    }

    void tell_disconnected() {
        if (disconnected_) disconnected_();
    }
    void tell_drained() {
        if (drained_) drained_();
    }

 private:
    Input input_;
    std::function<void()> connected_, disconnected_, drained_;
};

}  // namespace shadowbox
