// SPDX-License-Identifier: MIT
// Loads a bzImage without firmware, by the Linux boot protocol (Documentation/arch/x86/boot.rst): kernel,
// command line, initrd, zero page, identity page tables, and the register state of the 64-bit entry point
// (32-bit for kernels without one).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "mmu/guest_memory.h"

namespace shadowbox {

/// What the boot processor starts with. Segments are flat; GDT and page tables lie in guest memory.
struct BootState {
    bool long_mode = false;
    u64 rip = 0, rsp = 0, rsi = 0, rbx = 0, rax = 0;
    u64 cr3 = 0;  ///< long mode
    u64 gdt_base = 0;
    u16 gdt_limit = 0;
    u16 code_selector = 0x10, data_selector = 0x18;
};

/// One range of the map that the guest gets.
struct MemoryRange {
    u64 first, size;
    u32 type;  ///< E820: 1 RAM, 2 reserved, 3 ACPI
};
std::vector<MemoryRange> memory_map(u64 memory_bytes);

struct LinuxImage {
    std::vector<u8> kernel, initrd;
    std::string command_line;
};

/// True if `bytes` start like a bzImage.
bool is_bzimage(std::span<const u8> bytes);
/// Checks that it fits; the message says what does not.
Expected<void> check_linux(const LinuxImage& image, u64 memory_bytes);
/// `rsdp`: where the ACPI root pointer lies, 0 if nowhere.
Expected<BootState> load_linux(const LinuxImage& image, GuestMemory& memory, u64 memory_bytes, u64 rsdp);

}  // namespace shadowbox
