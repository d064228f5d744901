// SPDX-License-Identifier: MIT
// Register bits and opcodes of the 82077AA, shared by the controller's two source files. 82077AA DS sections
// 2, 5, 6.
#pragma once

#include "core/integers.h"

namespace shadowbox::floppy82077 {

constexpr u8 kDorNotReset = 0x04, kDorIrqDma = 0x08, kDsrReset = 0x80, kDirChanged = 0x80;
constexpr u8 kMsrReady = 0x80, kMsrToHost = 0x40, kMsrNonDma = 0x20, kMsrBusy = 0x10;

// ST0
constexpr u8 kAbnormal = 0x40, kInvalidCommand = 0x80, kPollingChanged = 0xC0, kSeekEnd = 0x20,
             kEquipmentCheck = 0x10;
// ST1
constexpr u8 kEndOfCylinder = 0x80, kDataError = 0x20, kNoData = 0x04, kNotWritable = 0x02,
             kMissingMark = 0x01;
// ST2
constexpr u8 kWrongCylinder = 0x10, kDataErrorInData = 0x20;
// ST3
constexpr u8 kStatus3WriteProtected = 0x40, kStatus3Track0 = 0x10, kStatus3TwoSides = 0x28;

constexpr u8 kReadTrack = 0x02, kSpecify = 0x03, kSenseDrive = 0x04, kWriteData = 0x05, kReadData = 0x06,
             kRecalibrate = 0x07, kSenseInterrupt = 0x08, kWriteDeleted = 0x09, kReadId = 0x0A,
             kReadDeleted = 0x0C, kFormat = 0x0D, kDumpRegisters = 0x0E, kSeek = 0x0F, kVersion = 0x10,
             kPerpendicular = 0x12, kConfigure = 0x13, kLock = 0x14, kVerify = 0x16, kRelativeSeek = 0x8F;
constexpr u8 kVersionEnhanced = 0x90;
constexpr u8 kSpecifyNonDma = 0x01;
constexpr u8 kMultiTrack = 0x80;

}  // namespace shadowbox::floppy82077
