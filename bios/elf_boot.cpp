// SPDX-License-Identifier: MIT
#include "bios/elf_boot.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace shadowbox {

namespace {

// One block of low memory holds GDT, boot information, strings and the stack that a kernel starts with; it
// lies at its usual place or at the first where no segment does. Segments may lie anywhere but between the
// end of low memory and the end of the firmware's area.
constexpr u64 kBlock = 0x1000, kBlockSize = 0x8000;
constexpr u64 kGdt = 0, kInfo = 0x1000, kStrings = 0x3000, kStringsEnd = 0x7000;  // in the block
constexpr u64 kLowTop = 0x9FC00, kHighMemory = 0x100000;
constexpr u32 kMultibootMagic = 0x1BADB002, kMultibootLoaded = 0x2BADB002, kPvhMagic = 0x336EC578,
              kPhys32Entry = 18;

template <class T>
std::optional<T> field(std::span<const u8> bytes, u64 offset) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

struct Segment {
    u32 type;
    u64 offset, paddr, vaddr, file_size, memory_size, align;
};

bool is_elf(std::span<const u8> b) {
    return b.size() > 52 &&
           !memcmp(b.data(),
                   "\x7F"
                   "ELF",
                   4) &&
           (b[4] == 1 || b[4] == 2) && b[5] == 1;
}

struct ElfHeader {
    bool wide;
    u64 entry;
    std::vector<Segment> segments;
};

std::optional<ElfHeader> parse_elf(std::span<const u8> b) {
    if (!is_elf(b)) return std::nullopt;
    ElfHeader h;
    h.wide = b[4] == 2;
    auto word = [&](u64 at) {
        return h.wide ? field<u64>(b, at).value_or(0) : field<u32>(b, at).value_or(0);
    };
    h.entry = word(24);
    u64 table = word(h.wide ? 32 : 28);
    u16 size = field<u16>(b, h.wide ? 54 : 42).value_or(0),
        count = field<u16>(b, h.wide ? 56 : 44).value_or(0);
    for (u16 i = 0; i < count; ++i) {
        u64 at = table + static_cast<u64>(i) * size;
        if (at > b.size() || b.size() - at < (h.wide ? 56u : 32u)) return std::nullopt;
        Segment s{};
        s.type = *field<u32>(b, at);
        if (h.wide)
            s.offset = word(at + 8), s.vaddr = word(at + 16), s.paddr = word(at + 24),
            s.file_size = word(at + 32), s.memory_size = word(at + 40), s.align = word(at + 48);
        else
            s.offset = word(at + 4), s.vaddr = word(at + 8), s.paddr = word(at + 12),
            s.file_size = word(at + 16), s.memory_size = word(at + 20), s.align = word(at + 28);
        h.segments.push_back(s);
    }
    return h;
}

/// The 32-bit physical entry point of a PVH kernel.
std::optional<u32> pvh_entry(std::span<const u8> b, const ElfHeader& h) {
    for (const Segment& s : h.segments) {
        if (s.type != 4 || s.offset > b.size() || b.size() - s.offset < s.file_size) continue;
        u64 align = s.align == 8 ? 8 : 4;
        auto round = [align](u64 n) { return (n + align - 1) & ~(align - 1); };
        for (u64 at = s.offset; at + 12 <= s.offset + s.file_size;) {
            u64 name_size = *field<u32>(b, at), value_size = *field<u32>(b, at + 4);
            u32 type = *field<u32>(b, at + 8);
            u64 value_at = at + 12 + round(name_size);
            if (type == kPhys32Entry && name_size == 4 && field<u32>(b, at + 12) == 0x006E6558u)
                return field<u32>(b, value_at);  // "Xen"
            at = value_at + round(value_size);
        }
    }
    return std::nullopt;
}

std::optional<u64> multiboot_header(std::span<const u8> b) {
    for (u64 at = 0; at + 12 <= std::min<u64>(b.size(), 8192); at += 4) {
        u32 magic = *field<u32>(b, at), flags = *field<u32>(b, at + 4), sum = *field<u32>(b, at + 8);
        if (magic == kMultibootMagic && magic + flags + sum == 0) return at;
    }
    return std::nullopt;
}

struct Loader {
    GuestMemory* memory;                     ///< nullptr: everything is checked, nothing is written
    u64 low;                                 ///< RAM below the hole
    u64 top = kHighMemory;                   ///< end of what is loaded
    std::vector<std::pair<u64, u64>> taken;  ///< segments, first and end
    bool ok = true;

    void put(u64 where, std::span<const u8> bytes) {
        if (memory) ok = ok && memory->write(Gpa(where), bytes);
    }
    template <class T>
    void value(u64 where, T v) {
        u8 bytes[sizeof(T)];
        memcpy(bytes, &v, sizeof v);
        put(where, bytes);
    }
    void zero(u64 where, u64 size) {
        if (!memory) return;
        std::vector<u8> zeros(std::min<u64>(size, 1 << 20));
        for (u64 done = 0; done < size; done += zeros.size())
            put(where + done, std::span(zeros).first(std::min<u64>(zeros.size(), size - done)));
    }
    Expected<void> segment(std::span<const u8> file, u64 offset, u64 file_size, u64 where, u64 memory_size) {
        if (offset > file.size() || file.size() - offset < file_size)
            return make_error(ErrorCode::kCorrupt, "the kernel file ends inside a segment");
        if (memory_size < file_size)
            return make_error(ErrorCode::kCorrupt,
                              "a kernel segment at {:#x} is larger in the file than in memory", where);
        if (where > low || memory_size > low - where) {
            return make_error(ErrorCode::kInvalidArgument,
                              "a kernel segment of {} KiB at {:#x} lies outside the guest's memory: raise -m",
                              memory_size >> 10, where);
        }
        u64 end = where + memory_size;
        if (where < kHighMemory && end > kLowTop) {
            return make_error(ErrorCode::kInvalidArgument,
                              "a kernel segment at {:#x} lies where the PC has display or firmware", where);
        }
        for (auto [first, last] : taken) {
            if (where < last && first < end)
                return make_error(ErrorCode::kCorrupt, "two kernel segments overlap at {:#x}",
                                  std::max(where, first));
        }
        taken.emplace_back(where, end);
        put(where, file.subspan(offset, file_size));
        if (memory_size > file_size) zero(where + file_size, memory_size - file_size);
        top = std::max(top, end);
        return {};
    }
    /// After the segments: finds room for the block.
    Expected<void> place_block() {
        auto meets = [&](u64 at) {
            return std::any_of(taken.begin(), taken.end(), [at](auto range) {
                return range.first < at + kBlockSize && at < range.second;
            });
        };
        for (block = kBlock; meets(block); block += kPageSize)
            if (block + kPageSize + kBlockSize > kLowTop)
                return make_error(ErrorCode::kInvalidArgument,
                                  "the kernel leaves no {} KiB below 640 KiB for its boot information",
                                  kBlockSize >> 10);
        strings = block + kStrings;
        return {};
    }
    u64 info() const { return block + kInfo; }
    u64 block = kBlock, strings = 0;
    bool strings_fit = true;
    u32 text(const std::string& line) {
        if (line.size() >= block + kStringsEnd - strings) {
            strings_fit = false;
            return 0;
        }
        u64 at = strings;
        std::vector<u8> bytes(line.begin(), line.end());
        bytes.push_back(0);
        put(at, bytes);
        strings += bytes.size();
        return static_cast<u32>(at);
    }
};

struct Placed {
    u64 first, size;
    u32 line;
};

Expected<std::vector<Placed>> place_modules(const ElfKernel& image, Loader& loader) {
    std::vector<Placed> placed;
    for (const ElfKernel::Module& module : image.modules) {
        u64 at = (loader.top + kPageOffsetMask) & ~kPageOffsetMask;
        if (at + module.bytes.size() > loader.low)
            return make_error(ErrorCode::kInvalidArgument,
                              "a module of {} KiB does not fit in memory: raise -m",
                              module.bytes.size() >> 10);
        loader.put(at, module.bytes);
        loader.top = at + module.bytes.size();
        placed.push_back({at, module.bytes.size(), loader.text(module.command_line)});
    }
    return placed;
}

void write_pvh_info(Loader& loader, const ElfKernel& image, const std::vector<Placed>& modules,
                    u64 memory_bytes, u64 rsdp) {
    const u64 info = loader.info(), list = info + 0x100, table = info + 0x400;
    for (std::size_t i = 0; i < modules.size(); ++i) {
        u64 at = list + i * 32;
        loader.value<u64>(at, modules[i].first);
        loader.value<u64>(at + 8, modules[i].size);
        loader.value<u64>(at + 16, modules[i].line);
        loader.value<u64>(at + 24, 0);
    }
    auto map = memory_map(memory_bytes);
    for (std::size_t i = 0; i < map.size(); ++i) {
        u64 at = table + i * 24;
        loader.value<u64>(at, map[i].first);
        loader.value<u64>(at + 8, map[i].size);
        loader.value<u64>(at + 16, map[i].type);
    }
    loader.value<u32>(info, kPvhMagic);
    loader.value<u32>(info + 4, 1);
    loader.value<u32>(info + 8, 0);
    loader.value<u32>(info + 12, static_cast<u32>(modules.size()));
    loader.value<u64>(info + 16, modules.empty() ? 0 : list);
    loader.value<u64>(info + 24, loader.text(image.command_line));
    loader.value<u64>(info + 32, rsdp);
    loader.value<u64>(info + 40, table);
    loader.value<u32>(info + 48, static_cast<u32>(map.size()));
    loader.value<u32>(info + 52, 0);
}

void write_multiboot_info(Loader& loader, const ElfKernel& image, const std::vector<Placed>& modules,
                          u64 memory_bytes) {
    const u64 info = loader.info(), list = info + 0x100, table = info + 0x400;
    for (std::size_t i = 0; i < modules.size(); ++i) {
        u64 at = list + i * 16;
        loader.value<u32>(at, static_cast<u32>(modules[i].first));
        loader.value<u32>(at + 4, static_cast<u32>(modules[i].first + modules[i].size));
        loader.value<u32>(at + 8, modules[i].line);
        loader.value<u32>(at + 12, 0);
    }
    auto map = memory_map(memory_bytes);
    for (std::size_t i = 0; i < map.size(); ++i) {
        u64 at = table + i * 24;
        loader.value<u32>(at, 20);
        loader.value<u64>(at + 4, map[i].first);
        loader.value<u64>(at + 12, map[i].size);
        loader.value<u32>(at + 20, map[i].type);
    }
    loader.value<u32>(
        info, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);  // memory, command line, modules, map, loader name
    loader.value<u32>(info + 4, static_cast<u32>(kLowTop >> 10));
    loader.value<u32>(info + 8, static_cast<u32>((loader.low - 0x100000) >> 10));
    // It begins with the kernel's name, as with every loader of this protocol.
    std::string line = image.name;
    if (!line.empty() && !image.command_line.empty()) line += ' ';
    loader.value<u32>(info + 16, loader.text(line + image.command_line));
    loader.value<u32>(info + 20, static_cast<u32>(modules.size()));
    loader.value<u32>(info + 24, static_cast<u32>(list));
    loader.value<u32>(info + 44, static_cast<u32>(map.size() * 24));
    loader.value<u32>(info + 48, static_cast<u32>(table));
    loader.value<u32>(info + 64, loader.text("shadowbox"));
}

/// The "a.out kludge": load addresses in the multiboot header itself.
Expected<u32> load_by_header(const ElfKernel& image, u64 at, Loader& loader) {
    std::span<const u8> b = image.kernel;
    u32 header = field<u32>(b, at + 12).value_or(0), load = field<u32>(b, at + 16).value_or(0),
        load_end = field<u32>(b, at + 20).value_or(0);
    u32 bss_end = field<u32>(b, at + 24).value_or(0), entry = field<u32>(b, at + 28).value_or(0);
    if (load > header || at < header - load)
        return make_error(ErrorCode::kCorrupt, "the multiboot header's addresses make no sense");
    if (load_end && load_end < load)
        return make_error(ErrorCode::kCorrupt, "the multiboot header's addresses make no sense");
    u64 offset = at - (header - load), size = load_end ? load_end - load : b.size() - offset;
    u64 memory_size = std::max<u64>(size, bss_end > load ? bss_end - load : 0);
    if (auto done = loader.segment(b, offset, size, load, memory_size); !done)
        return tl::unexpected(done.error());
    return entry;
}

}  // namespace

ElfBoot elf_boot_protocol(std::span<const u8> bytes) {
    auto elf = parse_elf(bytes);
    if (elf && pvh_entry(bytes, *elf)) return ElfBoot::kPvh;
    return multiboot_header(bytes) ? ElfBoot::kMultiboot : ElfBoot::kNone;
}

namespace {

/// `memory` nullptr: checks only.
Expected<BootState> load(const ElfKernel& image, GuestMemory* memory, u64 memory_bytes, u64 rsdp) {
    ElfBoot protocol = elf_boot_protocol(image.kernel);
    if (protocol == ElfBoot::kNone)
        return make_error(ErrorCode::kUnsupported, "neither a bzImage, a PVH nor a multiboot kernel");
    if (image.modules.size() > 24) return make_error(ErrorCode::kInvalidArgument, "more than 24 modules");
    Loader loader{memory, std::min<u64>(memory_bytes, 0xC0000000)};
    auto elf = parse_elf(image.kernel);
    u32 entry = 0;
    auto header = multiboot_header(image.kernel);
    bool by_header =
        protocol == ElfBoot::kMultiboot && (field<u32>(image.kernel, *header + 4).value_or(0) & 1 << 16);
    if (by_header) {
        auto loaded = load_by_header(image, *header, loader);
        if (!loaded) return tl::unexpected(loaded.error());
        entry = *loaded;
    } else {
        if (!elf)
            return make_error(ErrorCode::kCorrupt, "a multiboot kernel without load addresses must be ELF");
        for (const Segment& s : elf->segments) {
            if (s.type != 1 || s.memory_size == 0) continue;
            if (auto done = loader.segment(image.kernel, s.offset, s.file_size, s.paddr, s.memory_size);
                !done)
                return tl::unexpected(done.error());
        }
        u64 start = elf->entry;
        for (const Segment& s : elf->segments) {  // a virtual entry point becomes physical
            if (s.type == 1 && elf->entry >= s.vaddr && elf->entry - s.vaddr < s.memory_size)
                start = elf->entry - s.vaddr + s.paddr;
        }
        if (protocol == ElfBoot::kMultiboot && start >> 32)
            return make_error(ErrorCode::kCorrupt, "the kernel's entry point {:#x} lies above 4 GiB", start);
        entry = static_cast<u32>(start);
    }
    if (auto placed = loader.place_block(); !placed) return tl::unexpected(placed.error());
    auto modules = place_modules(image, loader);
    if (!modules) return tl::unexpected(modules.error());
    BootState state;
    if (protocol == ElfBoot::kPvh) {
        entry = *pvh_entry(image.kernel, *elf);
        write_pvh_info(loader, image, *modules, memory_bytes, rsdp);
        state.rbx = loader.info();
    } else {
        write_multiboot_info(loader, image, *modules, memory_bytes);
        state.rbx = loader.info();
        state.rax = kMultibootLoaded;
    }
    static constexpr u64 kDescriptors[] = {0, 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF};
    for (unsigned i = 0; i < 4; ++i) loader.value(loader.block + kGdt + i * 8, kDescriptors[i]);
    if (!loader.strings_fit)
        return make_error(ErrorCode::kInvalidArgument,
                          "the command lines of kernel and modules are longer than {} KiB together",
                          (kStringsEnd - kStrings) >> 10);
    if (!loader.ok)
        return make_error(ErrorCode::kOutOfMemory, "no machine pages left to load the kernel: raise --pool");
    state.rip = entry;
    state.rsp = loader.block + kBlockSize;
    state.gdt_base = loader.block + kGdt;
    state.gdt_limit = 31;
    return state;
}

}  // namespace

Expected<void> check_elf_kernel(const ElfKernel& image, u64 memory_bytes) {
    auto checked = load(image, nullptr, memory_bytes, 0);
    if (!checked) return tl::unexpected(checked.error());
    return {};
}

Expected<BootState> load_elf_kernel(const ElfKernel& image, GuestMemory& memory, u64 memory_bytes, u64 rsdp) {
    return load(image, &memory, memory_bytes, rsdp);
}

}  // namespace shadowbox
