// SPDX-License-Identifier: MIT
// Registers, bits and command codes of ATA/ATAPI, as the ATA/ATAPI-7 standard names them (volume 1, clause 6;
// volume 2, clauses 7 and 9). Used by the IDE files only.
#pragma once

#include "core/integers.h"

namespace shadowbox::ata {

// Command block registers, offsets from 1F0h.
constexpr u16 kData = 0, kErrorFeatures = 1, kCount = 2, kLbaLow = 3, kLbaMid = 4, kLbaHigh = 5, kDevice = 6,
              kStatusCommand = 7;

constexpr u8 kBusy = 0x80, kReady = 0x40, kDeviceFault = 0x20, kSeekDone = 0x10, kDataRequest = 0x08,
             kErrorBit = 0x01;
constexpr u8 kAborted = 0x04, kIdNotFound = 0x10, kUncorrectable = 0x40;
constexpr u8 kDeviceLba = 0x40, kDeviceSelect = 0x10, kDeviceObsolete = 0xA0;
constexpr u8 kControlNoInterrupt = 0x02, kControlReset = 0x04, kControlHighOrder = 0x80;
// Interrupt reason, in the count register of packet devices.
constexpr u8 kReasonCommand = 1, kReasonIn = 2;

enum Command : u8 {
    kNop = 0x00,
    kDeviceReset = 0x08,
    kReadSectors = 0x20,
    kReadSectorsNoRetry = 0x21,
    kReadSectorsExt = 0x24,
    kReadDmaExt = 0x25,
    kReadNativeMaxExt = 0x27,
    kReadMultipleExt = 0x29,
    kWriteSectors = 0x30,
    kWriteSectorsNoRetry = 0x31,
    kWriteSectorsExt = 0x34,
    kWriteDmaExt = 0x35,
    kWriteMultipleExt = 0x39,
    kWriteDmaFuaExt = 0x3D,
    kVerify = 0x40,
    kVerifyNoRetry = 0x41,
    kVerifyExt = 0x42,
    kDiagnostic = 0x90,
    kInitializeParameters = 0x91,
    kStandbyNowOld = 0x94,
    kIdleNowOld = 0x95,
    kStandbyOld = 0x96,
    kIdleOld = 0x97,
    kCheckPowerOld = 0x98,
    kSleepOld = 0x99,
    kPacket = 0xA0,
    kIdentifyPacket = 0xA1,
    kSmart = 0xB0,
    kReadMultiple = 0xC4,
    kWriteMultiple = 0xC5,
    kSetMultiple = 0xC6,
    kReadDma = 0xC8,
    kReadDmaNoRetry = 0xC9,
    kWriteDma = 0xCA,
    kWriteDmaNoRetry = 0xCB,
    kWriteMultipleFuaExt = 0xCE,
    kStandbyNow = 0xE0,
    kIdleNow = 0xE1,
    kStandby = 0xE2,
    kIdle = 0xE3,
    kCheckPower = 0xE5,
    kSleep = 0xE6,
    kFlushCache = 0xE7,
    kFlushCacheExt = 0xEA,
    kIdentify = 0xEC,
    kSetFeatures = 0xEF,
    kReadNativeMax = 0xF8,
};

}  // namespace shadowbox::ata
