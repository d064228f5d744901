// SPDX-License-Identifier: MIT
// Which rows of opcodes.def host_compare may generate on this host, and the one table of rows and forms it
// leaves out, with reasons.
#pragma once

#include <string>

#include "cpu/decode/opcode_row.h"

namespace shadowbox::compare {

enum class RowUse : u8 {
    kCompare,    ///< generated
    kOtherMode,  ///< does not exist in the mode asked for
    kSystem,     ///< reads or changes what only an operating system may: unit and asm tests have it
    kNoFeature,  ///< this host has no such instruction
    kVendor,     ///< this host's vendor answers otherwise than the emulated processor, or leaves it undefined
};

/// What of a real CPU decides which rows can be compared with it: this host's, or that of a recording.
struct HostCpu {
    /// Of this host (host_cpu.cpp; x86 only).
    static HostCpu here();
    /// The host that compares most: AMD with every feature. Coverage is counted for it.
    static HostCpu reference() {
        HostCpu host;
        host.amd = host.all = true;
        return host;
    }
    bool has(OpFeature feature) const;

    bool amd = false;
    bool all = false;  ///< every feature
    bool v3 = false;   ///< AVX, AVX2, FMA and F16C, and an operating system that keeps YMM registers
    u32 leaf1_ecx = 0, leaf7_ebx = 0, extended_ecx = 0;
};

RowUse row_use(const OpcodeRow& row, bool mode32, const HostCpu& host);
/// Why the vendor table leaves the row out; empty if it does not.
std::string vendor_reason(const OpcodeRow& row, const HostCpu& host);
/// The whole vendor table as text, for --list-skipped.
std::string vendor_table_text();

/// Near branches: 66H makes AMD truncate RIP in 64-bit mode, Intel ignores it.
bool is_near_branch(const OpcodeRow& row);
bool is_avx(const OpcodeRow& row);
bool is_string(const OpcodeRow& row);
bool has_operand(const OpcodeRow& row, Operand operand);
bool named(const OpcodeRow& row, const char* name);

}  // namespace shadowbox::compare
