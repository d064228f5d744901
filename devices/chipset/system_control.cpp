// SPDX-License-Identifier: MIT
// Port 92h and port CF9h.
#include "devices/chipset/system_control.h"

namespace shadowbox {

namespace {
constexpr u8 kFastReset = 0x01, kFastA20 = 0x02;     // port 92h
constexpr u8 kSystemReset = 0x02, kResetCpu = 0x04;  // port CF9h
}  // namespace

SystemControl::SystemControl(A20Gate& a20, std::function<void()> reset_machine)
    : a20_(a20),
      reset_machine_(std::move(reset_machine)),
      port_92_(
          [this](u16, unsigned) {
              return u32(port_92_latch_ & ~(kFastReset | kFastA20)) | (a20_.enabled() ? kFastA20 : 0u);
          },
          [this](u16, unsigned, u32 value) {
              bool reset_edge = (value & kFastReset) && !(port_92_latch_ & kFastReset);
              port_92_latch_ = static_cast<u8>(value);
              a20_.set(value & kFastA20);
              if (reset_edge && reset_machine_) reset_machine_();
          }),
      reset_control_([this](u16, unsigned) { return u32{reset_latch_}; },
                     [this](u16, unsigned, u32 value) {
                         // RCPU going from 0 to 1 resets; SRST only chooses how hard (PIIX3 DS 2.5.5).
                         bool reset_edge = (value & kResetCpu) && !(reset_latch_ & kResetCpu);
                         reset_latch_ = value & (kSystemReset | kResetCpu);
                         if (reset_edge && reset_machine_) reset_machine_();
                     }) {}

void SystemControl::reset() {
    port_92_latch_ = reset_latch_ = 0;
    a20_.set(true);
}

void SystemControl::serialize(Archive& archive) {
    archive.section(name(), 1);
    archive(port_92_latch_, reset_latch_, a20_);
    if (archive.loading()) a20_.apply();
}

void SystemControl::inspect(Inspector& inspector) const {
    inspector.field("A20", a20_.enabled());
    inspector.hex("port 92h", port_92_latch_);
    inspector.hex("port CF9h", reset_latch_);
}

}  // namespace shadowbox
