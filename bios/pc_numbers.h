// SPDX-License-Identifier: MIT
// The numbers of the PC that the tables tell the guest. bios/ may not include devices/; vmm/machine/board.cpp
// asserts that they are the ones of devices/bus/layout.h.
#pragma once

#include "core/integers.h"

namespace shadowbox::pc {

constexpr u16 kPmBase = 0x600, kGpe0Base = 0xAFE0, kSmiCommandPort = 0xB2, kFwCfgPort = 0x510;
constexpr u8 kFwCfgPorts = 12;  // selector and data, and the DMA address behind them
constexpr u8 kAcpiEnable = 0xF1, kAcpiDisable = 0xF0, kS5Type = 0, kSciIrq = 9, kPitGsi = 2;
constexpr u32 kPciHoleFirst = 0xC0000000, kPciHoleLast = 0xFEBFFFFF, kHpetAddress = 0xFED00000;

}  // namespace shadowbox::pc
