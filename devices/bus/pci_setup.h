// SPDX-License-Identifier: MIT
// What firmware does to PCI before an operating system starts, for machines that boot a kernel without
// firmware: BAR addresses, interrupt routing, and the PIIX functions' decoding. Uses configuration cycles
// only. Called by vmm/ at each power-on and reset of such a machine.
#pragma once

#include "devices/bus/pci_bus.h"

namespace shadowbox {

/// Device lock held. Levels for the routed interrupts (ELCR) are the caller's: kPirqElcr.
void set_up_pci(PciBus& bus);

/// PIRQ A and B go to interrupt 10, C and D to 11, as SeaBIOS does it; both are level-triggered.
constexpr u8 kPirqIrqs[4] = {10, 10, 11, 11};
/// Bits of the second ELCR (port 4D1h) for them.
constexpr u8 kPirqElcr = 1 << (10 - 8) | 1 << (11 - 8);

}  // namespace shadowbox
