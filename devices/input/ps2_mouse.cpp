// SPDX-License-Identifier: MIT
// PS/2 mouse: commands and movement packets.
#include "devices/input/ps2_mouse.h"

#include <algorithm>

namespace shadowbox {

namespace {
constexpr u8 kAck = 0xFA, kNak = 0xFE, kBatPassed = 0xAA;
constexpr u8 kScaling1 = 0xE6, kScaling2 = 0xE7, kResolution = 0xE8, kStatus = 0xE9, kStream = 0xEA,
             kReadData = 0xEB, kLeaveWrap = 0xEC, kWrap = 0xEE, kRemote = 0xF0, kIdentify = 0xF2,
             kSampleRate = 0xF3, kEnable = 0xF4, kDisable = 0xF5, kDefaults = 0xF6, kResend = 0xFE,
             kReset = 0xFF;
constexpr i32 kMostMotion = 255;       // nine-bit two's complement, kept symmetric
constexpr i32 kMostBacklog = 1 << 20;  // a guest that never reads collects no more than this
constexpr unsigned kPacketBacklog = 16;
}  // namespace

Ps2Mouse::Ps2Mouse(std::function<void()> output) : output_(std::move(output)) { reset(); }

void Ps2Mouse::reset() {
    u8 buttons = state_.buttons;
    state_ = State{};
    state_.buttons = state_.reported_buttons = buttons;
    queue_.clear();
    set_defaults();
}

void Ps2Mouse::set_defaults() {
    state_.rate = 100;
    state_.resolution = 2;
    state_.reporting = state_.remote = state_.scaling2 = false;
    state_.dx = state_.dy = state_.wheel = 0;
}

void Ps2Mouse::answer(std::initializer_list<u8> bytes) {
    for (u8 byte : bytes) queue_.push(byte);
    state_.last_sent = *(bytes.end() - 1);
    output_();
}

void Ps2Mouse::sample_rate(u8 rate) {
    State& s = state_;
    // The knock: 200, 100, 80 turns a mouse into a wheel mouse, 200, 200, 80 a wheel mouse into one of five
    // buttons.
    if (s.rates[0] == 200 && s.rates[1] == 100 && rate == 80) s.id = 3;
    if (s.rates[0] == 200 && s.rates[1] == 200 && rate == 80 && s.id == 3) s.id = 4;
    s.rates[0] = s.rates[1];
    s.rates[1] = rate;
    s.rate = rate;
}

bool Ps2Mouse::argument(u8 byte) {
    u8 command = state_.pending_command;
    state_.pending_command = 0;
    if (command == 0) return false;
    if (command == kSampleRate) sample_rate(byte);
    if (command == kResolution) state_.resolution = byte & 3;
    answer({kAck});
    return true;
}

u8 Ps2Mouse::status() const {
    const State& s = state_;
    unsigned buttons = (s.buttons & 1) << 2 | (s.buttons & 4) >> 1 | (s.buttons & 2) >> 1;
    return static_cast<u8>(buttons | s.scaling2 << 4 | s.reporting << 5 | s.remote << 6);
}

void Ps2Mouse::command(u8 byte) {
    State& s = state_;
    if (s.wrap && byte != kLeaveWrap && byte != kReset) return answer({byte});
    if (argument(byte)) return;
    if (byte != kResend) queue_.clear();  // a command ends the transmission of a packet
    switch (byte) {
        case kScaling1: s.scaling2 = false; return answer({kAck});
        case kScaling2: s.scaling2 = true; return answer({kAck});
        case kResolution:
        case kSampleRate: s.pending_command = byte; return answer({kAck});
        case kStatus: return answer({kAck, status(), s.resolution, s.rate});
        case kStream: s.remote = false; return answer({kAck});
        case kRemote: s.remote = true; return answer({kAck});
        case kWrap: s.wrap = true; return answer({kAck});
        case kLeaveWrap: s.wrap = false; return answer({kAck});
        case kReadData: answer({kAck}); return send_packet();
        case kIdentify: return answer({kAck, s.id});
        case kEnable: s.reporting = true; return answer({kAck});
        case kDisable: s.reporting = false; return answer({kAck});
        case kDefaults: set_defaults(); return answer({kAck});
        case kResend: return answer({s.last_sent});
        case kReset: reset(); return answer({kAck, kBatPassed, 0x00});
        default: return answer({kNak});
    }
}

void Ps2Mouse::move(int dx, int dy, int wheel, u8 buttons) {
    State& s = state_;
    auto add = [](i32 sum, int change) {
        return static_cast<i32>(std::clamp<i64>(i64{sum} + change, -kMostBacklog, kMostBacklog));
    };
    s.buttons = buttons & 0x1F;
    if (!s.reporting && !s.remote) return;
    s.dx = add(s.dx, dx);
    s.dy = add(s.dy, dy == -2147483648 ? 0 : -dy);
    s.wheel = add(s.wheel, wheel);
    stream();
}

bool Ps2Mouse::changed() const {
    return state_.dx || state_.dy || (state_.wheel && state_.id >= 3) ||
           state_.buttons != state_.reported_buttons;
}

/// Reports while there is something to report and little waits; the rest adds up until the guest reads.
void Ps2Mouse::stream() {
    if (!state_.reporting || state_.remote || state_.wrap) return;
    while (changed() && queue_.size() + 4 <= kPacketBacklog) send_packet();
}

void Ps2Mouse::send_packet() {
    State& s = state_;
    if (queue_.room() < 4) return;
    i32 dx = std::clamp(s.dx, -kMostMotion, kMostMotion), dy = std::clamp(s.dy, -kMostMotion, kMostMotion);
    s.dx -= dx;
    s.dy -= dy;
    queue_.push(static_cast<u8>((s.buttons & 7) | 0x08 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0)));
    queue_.push(static_cast<u8>(dx));
    queue_.push(static_cast<u8>(dy));
    if (s.id >= 3) {
        i32 wheel = std::clamp(s.wheel, -8, 7);
        s.wheel -= wheel;
        u8 fourth = static_cast<u8>(wheel);
        if (s.id == 4) fourth = static_cast<u8>((wheel & 0x0F) | (s.buttons & 0x18) << 1);
        queue_.push(fourth);
    } else {
        s.wheel = 0;
    }
    s.reported_buttons = s.buttons;
    output_();
}

u8 Ps2Mouse::take_output() {
    u8 byte = queue_.pop();
    if (queue_.empty()) stream();
    return byte;
}

void Ps2Mouse::serialize(Archive& archive) {
    State& s = state_;
    archive(queue_, s.dx, s.dy, s.wheel, s.buttons, s.reported_buttons, s.id, s.pending_command, s.rate,
            s.resolution, s.last_sent, s.rates, s.reporting, s.remote, s.wrap, s.scaling2);
    s.dx = std::clamp(s.dx, -kMostBacklog, kMostBacklog);
    s.dy = std::clamp(s.dy, -kMostBacklog, kMostBacklog);
    s.wheel = std::clamp(s.wheel, -kMostBacklog, kMostBacklog);
}

void Ps2Mouse::inspect(Inspector& inspector) const {
    inspector.field("id", state_.id);
    inspector.field("reporting", state_.reporting);
    inspector.field("remote", state_.remote);
    inspector.field("sample rate", state_.rate);
    inspector.hex("buttons", state_.buttons);
    inspector.field("bytes waiting", queue_.size());
}

}  // namespace shadowbox
