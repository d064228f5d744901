// SPDX-License-Identifier: MIT
// ELF kernels without firmware: PVH (Xen's HVM direct boot: the XEN_ELFNOTE_PHYS32_ENTRY note) and multiboot
// 1, 32 and 64-bit ELF, with modules. Both start in flat 32-bit protected mode without paging.
#pragma once

#include "bios/linux_boot.h"

namespace shadowbox {

struct ElfKernel {
    std::vector<u8> kernel;
    struct Module {
        std::vector<u8> bytes;
        std::string command_line;
    };
    std::vector<Module> modules;
    std::string command_line;
    std::string name;  ///< the file's, which a multiboot command line begins with
};

enum class ElfBoot : u8 { kNone, kPvh, kMultiboot };
/// What boot protocol the file offers; PVH wins when it has both.
ElfBoot elf_boot_protocol(std::span<const u8> bytes);

/// Checks that everything fits, before a machine runs; the message says what does not.
Expected<void> check_elf_kernel(const ElfKernel& image, u64 memory_bytes);
/// Loads segments, modules and boot information. Fails with one clear line when something does not fit.
Expected<BootState> load_elf_kernel(const ElfKernel& image, GuestMemory& memory, u64 memory_bytes, u64 rsdp);

}  // namespace shadowbox
