// SPDX-License-Identifier: MIT
// Debug console, exit device, POST code.
#include "devices/chipset/debug_ports.h"

namespace shadowbox {

namespace {
constexpr u8 kConsolePresent = 0xE9;  // what SeaBIOS and OVMF expect to read before they print
constexpr std::size_t kLongestLine = 1024;
}  // namespace

DebugPorts::DebugPorts(std::function<void(const std::string&)> line, std::function<void(int)> exit)
    : line_(std::move(line)),
      exit_guest_(std::move(exit)),
      console_([](u16, unsigned) { return u32{kConsolePresent}; },
               [this](u16, unsigned, u32 value) { put(static_cast<u8>(value)); }),
      exit_([](u16, unsigned) { return 0u; },
            [this](u16, unsigned, u32 value) {
                if (exit_guest_) exit_guest_(static_cast<int>(value << 1 | 1));
            },
            4),
      post_([this](u16, unsigned) { return u32{post_value_}; },
            [this](u16, unsigned, u32 value) { post_value_ = static_cast<u8>(value); }) {}

void DebugPorts::put(u8 byte) {
    if (byte != '\n' && byte != '\r') pending_ += static_cast<char>(byte);
    if (byte != '\n' && pending_.size() < kLongestLine) return;
    if (line_) line_(pending_);
    pending_.clear();
}

void DebugPorts::reset() {
    if (!pending_.empty() && line_) line_(pending_);
    pending_.clear();
    post_value_ = 0;
}

void DebugPorts::serialize(Archive& archive) {
    archive.section(name(), 1);
    archive(pending_, post_value_);
}

void DebugPorts::inspect(Inspector& inspector) const { inspector.hex("POST code", post_value_); }

}  // namespace shadowbox
