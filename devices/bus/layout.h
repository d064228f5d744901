// SPDX-License-Identifier: MIT
// Where everything lies in our PC: ports, MMIO and interrupt numbers, ascending, proven disjoint at compile
// time. The board uses them to wire devices, bios/ to write ACPI tables. The numbers are those of QEMU's
// i440FX machine wherever SeaBIOS, OVMF or Linux know them by heart.
#pragma once

#include <array>

#include "core/integers.h"

namespace shadowbox::layout {

struct PortRange {
    u16 first;
    u32 count;
};

// --- ports ---
constexpr PortRange kDma1{0x0000, 16};
constexpr PortRange kPicMaster{0x0020, 2};
constexpr PortRange kPit{0x0040, 4};
constexpr PortRange kKeyboardData{0x0060, 1};
constexpr PortRange kPortB{0x0061, 1};
constexpr PortRange kKeyboardCommand{0x0064, 1};
constexpr PortRange kRtc{0x0070, 2};
constexpr PortRange kPost{0x0080, 1};
constexpr PortRange kDmaPages{0x0081, 15};
constexpr PortRange kSystemControlA{0x0092, 1};
constexpr PortRange kPicSlave{0x00A0, 2};
constexpr PortRange kApmControl{0x00B2, 2};
constexpr PortRange kDma2{0x00C0, 32};
constexpr PortRange kCoprocessorError{0x00F0, 1};
constexpr PortRange kDebugExit{0x00F4, 4};
constexpr PortRange kIdeSecondary{0x0170, 8};
constexpr PortRange kVbeDispi{0x01CE, 4};  // index 1CEh, data 1CFh and 1D0h, 16 bits each
constexpr PortRange kIdePrimary{0x01F0, 8};
constexpr PortRange kSerial3{0x02E8, 8};
constexpr PortRange kSerial1{0x02F8, 8};
constexpr PortRange kIdeSecondaryControl{0x0376, 1};
constexpr PortRange kVga{0x03B0, 48};
constexpr PortRange kSerial2{0x03E8, 8};
constexpr PortRange kFloppy{0x03F0, 6};
constexpr PortRange kIdePrimaryControl{0x03F6, 1};
constexpr PortRange kFloppyDirection{0x03F7, 1};
constexpr PortRange kSerial0{0x03F8, 8};
constexpr PortRange kDebugConsole{0x0402, 1};
constexpr PortRange kElcr{0x04D0, 2};
constexpr PortRange kFwCfg{0x0510, 2};
constexpr PortRange kFwCfgDma{0x0514, 8};
constexpr PortRange kAcpiPm{0x0600, 64};           // PMBASE; the PIIX4 function's register may move it
constexpr PortRange kPciConfigAddress{0x0CF8, 4};  // byte CF9 is the reset control register
constexpr PortRange kPciConfigData{0x0CFC, 4};
constexpr PortRange kGpe0{0xAFE0, 4};

/// Offset of the reset control register inside kPciConfigAddress: the PCI host forwards byte accesses there.
constexpr u16 kResetControlOffset = 1;

constexpr std::array kPorts{kDma1,
                            kPicMaster,
                            kPit,
                            kKeyboardData,
                            kPortB,
                            kKeyboardCommand,
                            kRtc,
                            kPost,
                            kDmaPages,
                            kSystemControlA,
                            kPicSlave,
                            kApmControl,
                            kDma2,
                            kCoprocessorError,
                            kDebugExit,
                            kIdeSecondary,
                            kVbeDispi,
                            kIdePrimary,
                            kSerial3,
                            kSerial1,
                            kIdeSecondaryControl,
                            kVga,
                            kSerial2,
                            kFloppy,
                            kIdePrimaryControl,
                            kFloppyDirection,
                            kSerial0,
                            kDebugConsole,
                            kElcr,
                            kFwCfg,
                            kFwCfgDma,
                            kAcpiPm,
                            kPciConfigAddress,
                            kPciConfigData,
                            kGpe0};

// --- guest-physical ranges ---
struct GpaRange {
    u64 first;
    u64 size;
};
constexpr GpaRange kVgaWindow{0xA0000, 0x20000};
constexpr GpaRange kOptionRoms{0xC0000, 0x20000};
constexpr GpaRange kBiosShadow{0xE0000, 0x20000};
constexpr GpaRange kPciHole{0xC0000000, 0x3EC00000};  // RAM below 4 GiB ends where this begins
constexpr GpaRange kIoApic{0xFEC00000, 0x1000};
constexpr GpaRange kHpet{0xFED00000, 0x400};
constexpr GpaRange kLocalApic{0xFEE00000, 0x100000};
constexpr GpaRange kFirmware{0xFF000000, 0x1000000};  // flash, aligned to its end
constexpr std::array kMmio{kVgaWindow, kOptionRoms, kBiosShadow, kPciHole,
                           kIoApic,    kHpet,       kLocalApic,  kFirmware};

// --- ISA interrupt numbers ---
constexpr unsigned kIrqPit = 0;
constexpr unsigned kIrqKeyboard = 1;
constexpr unsigned kIrqSerial1 = 3;
constexpr unsigned kIrqSerial0 = 4;
constexpr unsigned kIrqFloppy = 6;
constexpr unsigned kIrqRtc = 8;
constexpr unsigned kIrqSci = 9;
constexpr unsigned kIrqMouse = 12;
constexpr unsigned kIrqFpu = 13;
constexpr unsigned kIrqIdePrimary = 14;
constexpr unsigned kIrqIdeSecondary = 15;
constexpr std::array kIsaIrqs{kIrqPit, kIrqKeyboard, kIrqSerial1, kIrqSerial0,    kIrqFloppy,      kIrqRtc,
                              kIrqSci, kIrqMouse,    kIrqFpu,     kIrqIdePrimary, kIrqIdeSecondary};

constexpr unsigned kIoApicPins = 24;
/// ISA IRQ 0 arrives at IOAPIC pin 2 (an interrupt source override in the MADT); others at their own number.
constexpr unsigned kPitGsi = 2;

// --- values that ACPI tables and devices must agree on (PIIX4 as QEMU models it) ---
constexpr u8 kAcpiEnableCommand = 0xF1;  // written to kApmControl: sets SCI_EN
constexpr u8 kAcpiDisableCommand = 0xF0;
constexpr u8 kS5SleepType = 0;  // SLP_TYP of \_S5 in the DSDT
/// HPET timers may be routed to IOAPIC pins 2, 8 and 16-23.
constexpr u32 kHpetRoutes = 0x00FF0104;

namespace detail {
constexpr bool ports_ascend_without_overlap() {
    for (std::size_t i = 1; i < kPorts.size(); ++i)
        if (kPorts[i - 1].first + kPorts[i - 1].count > kPorts[i].first) return false;
    return true;
}
constexpr bool mmio_ascends_without_overlap() {
    for (std::size_t i = 1; i < kMmio.size(); ++i)
        if (kMmio[i - 1].first + kMmio[i - 1].size > kMmio[i].first) return false;
    return true;
}
constexpr bool irqs_ascend() {
    for (std::size_t i = 1; i < kIsaIrqs.size(); ++i)
        if (kIsaIrqs[i - 1] >= kIsaIrqs[i]) return false;
    return true;
}
}  // namespace detail
static_assert(detail::ports_ascend_without_overlap());
static_assert(detail::mmio_ascends_without_overlap());
static_assert(detail::irqs_ascend());

}  // namespace shadowbox::layout
