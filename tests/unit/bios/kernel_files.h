// SPDX-License-Identifier: MIT
// Kernels for the loaders' tests, made byte by byte: bzImage headers, ELF files with notes and multiboot
// headers. Also what they are loaded into. No test cases here.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "mmu/guest_memory.h"
#include "mmu/zero_fill_pager.h"

namespace shadowbox::test {

template <class T>
void set(std::vector<u8>& bytes, std::size_t at, T value) {
    if (bytes.size() < at + sizeof value) bytes.resize(at + sizeof value);
    memcpy(bytes.data() + at, &value, sizeof value);
}

struct GuestRam {
    static constexpr u64 kBytes = 64 << 20;
    std::unique_ptr<MachinePool> pool =
        std::move(*MachinePool::create(kBytes / kPageSize, 2 * kBytes / kPageSize));
    ZeroFillPager pager;
    GuestMemory memory{*pool, pager, VmId(1)};
    GuestRam() {
        memory.map_ram(Ppn(0), kBytes / kPageSize);
        memory.unmap(Ppn(0xA0), 0x20);
    }
    template <class T>
    T get(u64 where) {
        T value{};
        memory.read(Gpa(where), std::span(reinterpret_cast<u8*>(&value), sizeof value));
        return value;
    }
    std::string text(u64 where) {
        std::string line;
        while (u8 c = get<u8>(where++)) line += static_cast<char>(c);
        return line;
    }
};

/// A bzImage of protocol 2.15 with a 64-bit entry point: `body` bytes after four set-up sectors.
inline std::vector<u8> bzimage(std::size_t body = 0x3000) {
    std::vector<u8> k(5 * 512 + body);
    k[0x1F1] = 4;
    memcpy(&k[0x202], "HdrS", 4);
    k[0x201] = 0x6A;
    k[0x211] = 1;  // LOADED_HIGH
    set<u16>(k, 0x206, 0x20F);
    set<u32>(k, 0x22C, 0x7FFFFFFF);  // initrd_addr_max
    set<u16>(k, 0x236, 1);           // XLF_KERNEL_64
    set<u32>(k, 0x238, 255);         // cmdline_size
    set<u64>(k, 0x258, 0x1000000);   // pref_address
    set<u32>(k, 0x260, 0x200000);    // init_size
    for (std::size_t i = 0; i < body; ++i) k[5 * 512 + i] = static_cast<u8>(i * 7);
    return k;
}

struct ElfSegment {
    u32 type = 1;
    u64 vaddr = 0, paddr = 0;
    std::vector<u8> bytes;
    u64 memory_size = 0;  ///< 0: as the bytes
    u64 align = 4;
};

/// 32 or 64-bit ELF: headers, program headers, then the segments' bytes one after the other.
inline std::vector<u8> elf_file(bool wide, u64 entry, const std::vector<ElfSegment>& segments) {
    std::size_t header = wide ? 64 : 52, row = wide ? 56 : 32;
    std::vector<u8> f(header + row * segments.size());
    memcpy(f.data(),
           "\x7F"
           "ELF",
           4);
    f[4] = wide ? 2 : 1, f[5] = 1, f[6] = 1;
    auto word = [&](std::size_t at, u64 value) {
        wide ? set<u64>(f, at, value) : set<u32>(f, at, static_cast<u32>(value));
    };
    word(24, entry);
    word(wide ? 32 : 28, header);
    set<u16>(f, wide ? 54 : 42, static_cast<u16>(row));
    set<u16>(f, wide ? 56 : 44, static_cast<u16>(segments.size()));
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const ElfSegment& s = segments[i];
        std::size_t at = header + row * i, place = f.size();
        f.insert(f.end(), s.bytes.begin(), s.bytes.end());
        while (f.size() % 8) f.push_back(0);
        u64 memory_size = s.memory_size ? s.memory_size : s.bytes.size();
        set<u32>(f, at, s.type);
        if (wide)
            word(at + 8, place), word(at + 16, s.vaddr), word(at + 24, s.paddr),
                word(at + 32, s.bytes.size()), word(at + 40, memory_size), word(at + 48, s.align);
        else
            word(at + 4, place), word(at + 8, s.vaddr), word(at + 12, s.paddr), word(at + 16, s.bytes.size()),
                word(at + 20, memory_size), word(at + 28, s.align);
    }
    return f;
}

/// The note that makes a kernel a PVH one, after another note that must be skipped.
inline ElfSegment pvh_note(u32 entry) {
    std::vector<u8> n;
    set<u32>(n, 0, 4), set<u32>(n, 4, 5), set<u32>(n, 8, 1);
    n.insert(n.end(), {'G', 'N', 'U', 0, 1, 2, 3, 4, 5, 0, 0, 0});
    std::size_t at = n.size();
    set<u32>(n, at, 4), set<u32>(n, at + 4, 4), set<u32>(n, at + 8, 18);
    n.insert(n.end(), {'X', 'e', 'n', 0});
    set<u32>(n, n.size(), entry);
    return {4, 0, 0, n, 0, 4};
}

/// A multiboot header of `flags` with further words.
inline std::vector<u8> multiboot_header(u32 flags, std::initializer_list<u32> more = {}) {
    std::vector<u8> h;
    for (u32 value : {0x1BADB002u, flags, 0u - 0x1BADB002u - flags}) set<u32>(h, h.size(), value);
    for (u32 value : more) set<u32>(h, h.size(), value);
    return h;
}

}  // namespace shadowbox::test
