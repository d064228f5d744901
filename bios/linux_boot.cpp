// SPDX-License-Identifier: MIT
#include "bios/linux_boot.h"

#include <cstring>

namespace shadowbox {

namespace {

// Low memory that the loader uses; all of it is free again once the kernel has taken over.
constexpr u64 kGdt = 0x1000, kZeroPage = 0x2000, kPageTables = 0x3000, kCommandLine = 0x20000,
              kLowTop = 0x9FC00, kDefaultLoad = 0x100000;
constexpr u64 kPciHole = 0xC0000000;

template <class T>
T field(std::span<const u8> bytes, u64 offset) {
    T value{};
    if (offset + sizeof value <= bytes.size()) memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}
template <class T>
void set(std::vector<u8>& bytes, u64 offset, T value) {
    memcpy(bytes.data() + offset, &value, sizeof value);
}

struct Layout {
    u64 setup_bytes, load_address, init_size, initrd_address;
};

Expected<Layout> plan(const LinuxImage& image, u64 memory_bytes) {
    std::span<const u8> k = image.kernel;
    if (!is_bzimage(k)) return make_error(ErrorCode::kCorrupt, "not a bzImage (no 'HdrS' header)");
    u16 version = field<u16>(k, 0x206);
    // Older than 2.06 (2007) or loaded below 1 MiB: started by its real-mode code, which calls the BIOS.
    bool starts_low = !(field<u8>(k, 0x211) & 0x01);
    if (version < 0x206 || starts_low)
        return make_error(ErrorCode::kUnsupported,
                          "it needs a BIOS (boot protocol {}.{:02}, {}): boot it from a disk or CD image",
                          version >> 8, version & 255,
                          starts_low ? "loaded below 1 MiB" : "2.06 is needed without one");
    Layout layout{};
    u8 sectors = field<u8>(k, 0x1F1);
    layout.setup_bytes = (sectors ? sectors + 1u : 5u) * 512u;
    if (layout.setup_bytes >= k.size())
        return make_error(ErrorCode::kCorrupt, "the kernel file ends inside its set-up code");
    layout.load_address = kDefaultLoad;
    layout.init_size = k.size() - layout.setup_bytes;
    if (version >= 0x20A) {
        layout.init_size = std::max<u64>(layout.init_size, field<u32>(k, 0x260));
        u64 preferred = field<u64>(k, 0x258);
        if (preferred >= kDefaultLoad) layout.load_address = preferred;
    }
    u64 low = std::min(memory_bytes, kPciHole), line_limit = kLowTop - kCommandLine - 1;
    if (u32 limit = field<u32>(k, 0x238)) line_limit = std::min<u64>(line_limit, limit);
    if (image.command_line.size() > line_limit) {
        return make_error(ErrorCode::kInvalidArgument,
                          "the kernel command line is longer than the {} bytes this kernel takes",
                          line_limit);
    }
    if (layout.load_address > low || layout.init_size > low - layout.load_address) {
        return make_error(ErrorCode::kInvalidArgument,
                          "the kernel needs {} MiB of memory at {} MiB, the guest has {} MiB: raise -m",
                          layout.init_size >> 20, layout.load_address >> 20, memory_bytes >> 20);
    }
    if (image.initrd.empty()) return layout;
    u64 highest = std::min<u64>(low, static_cast<u64>(field<u32>(k, 0x22C)) + 1);
    if (field<u16>(k, 0x236) & 2)
        highest = low;  // XLF_CAN_BE_LOADED_ABOVE_4G: any place below the hole will do
    u64 size = image.initrd.size();
    layout.initrd_address = size < highest ? (highest - size) & ~u64{0xFFF} : 0;
    if (layout.initrd_address < layout.load_address + layout.init_size) {
        return make_error(ErrorCode::kInvalidArgument,
                          "the initrd of {} MiB does not fit beside the kernel in {} MiB: raise -m",
                          size >> 20, memory_bytes >> 20);
    }
    return layout;
}

std::vector<u8> make_zero_page(const LinuxImage& image, const Layout& layout, u64 memory_bytes, u64 rsdp) {
    std::vector<u8> page(kPageSize);
    u64 header_end = std::min<u64>(0x202 + field<u8>(image.kernel, 0x201), 0x290);
    memcpy(page.data() + 0x1F1, image.kernel.data() + 0x1F1, header_end - 0x1F1);
    set<u8>(page, 0x210, 0xFF);                                 // an unregistered boot loader
    set<u8>(page, 0x211, static_cast<u8>(page[0x211] | 0x01));  // LOADED_HIGH
    set<u32>(page, 0x228, static_cast<u32>(kCommandLine));
    set<u32>(page, 0x218, static_cast<u32>(layout.initrd_address));
    set<u32>(page, 0x21C, static_cast<u32>(image.initrd.size()));
    set<u32>(page, 0x214, static_cast<u32>(layout.load_address));
    set<u64>(page, 0x070, rsdp);
    set<u16>(page, 0x1FA, 0xFFFF);  // vga=normal
    auto map = memory_map(memory_bytes);
    set<u8>(page, 0x1E8, static_cast<u8>(map.size()));
    for (std::size_t i = 0; i < map.size(); ++i) {
        set<u64>(page, 0x2D0 + i * 20, map[i].first);
        set<u64>(page, 0x2D8 + i * 20, map[i].size);
        set<u32>(page, 0x2E0 + i * 20, map[i].type);
    }
    return page;
}

bool write_value(GuestMemory& memory, u64 where, u64 value) {
    u8 bytes[8];
    memcpy(bytes, &value, 8);
    return memory.write(Gpa(where), bytes);
}

/// Identity map of the first 4 GiB by 2 MiB pages.
bool write_page_tables(GuestMemory& memory) {
    bool ok = write_value(memory, kPageTables, (kPageTables + 0x1000) | 3);
    for (u64 gib = 0; gib < 4; ++gib) {
        ok &= write_value(memory, kPageTables + 0x1000 + gib * 8, (kPageTables + 0x2000 + gib * 0x1000) | 3);
        for (u64 i = 0; i < 512; ++i)
            ok &= write_value(memory, kPageTables + 0x2000 + gib * 0x1000 + i * 8,
                              (gib << 30 | i << 21) | 0x83);
    }
    return ok;
}

}  // namespace

bool is_bzimage(std::span<const u8> bytes) {
    return bytes.size() > 0x290 && memcmp(bytes.data() + 0x202, "HdrS", 4) == 0;
}

std::vector<MemoryRange> memory_map(u64 memory_bytes) {
    u64 low = std::min(memory_bytes, kPciHole);
    std::vector<MemoryRange> map = {{0, kLowTop, 1},
                                    {kLowTop, 0xA0000 - kLowTop, 2},
                                    {0xE0000, 0x20000, 2},
                                    {0x100000, low - 0x100000, 1},
                                    {0xFFFC0000, 0x40000, 2}};
    if (memory_bytes > low) map.push_back({u64{1} << 32, memory_bytes - low, 1});
    return map;
}

Expected<void> check_linux(const LinuxImage& image, u64 memory_bytes) {
    auto layout = plan(image, memory_bytes);
    if (!layout) return tl::unexpected(layout.error());
    return {};
}

Expected<BootState> load_linux(const LinuxImage& image, GuestMemory& memory, u64 memory_bytes, u64 rsdp) {
    auto layout = plan(image, memory_bytes);
    if (!layout) return tl::unexpected(layout.error());
    bool ok = memory.write(Gpa(layout->load_address), std::span(image.kernel).subspan(layout->setup_bytes));
    std::vector<u8> line(image.command_line.begin(), image.command_line.end());
    line.push_back(0);
    ok &= memory.write(Gpa(kCommandLine), line);
    if (!image.initrd.empty()) ok &= memory.write(Gpa(layout->initrd_address), image.initrd);
    ok &= memory.write(Gpa(kZeroPage), make_zero_page(image, *layout, memory_bytes, rsdp));
    bool long_mode = field<u16>(image.kernel, 0x206) >= 0x20C && (field<u16>(image.kernel, 0x236) & 1);
    static constexpr u64 kDescriptors[] = {0, 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF};
    static constexpr u64 kDescriptors32[] = {0, 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF};
    for (unsigned i = 0; i < 4; ++i)
        ok &= write_value(memory, kGdt + i * 8, long_mode ? kDescriptors[i] : kDescriptors32[i]);
    if (long_mode) ok &= write_page_tables(memory);
    if (!ok)
        return make_error(ErrorCode::kOutOfMemory, "no machine pages left to load the kernel: raise --pool");
    BootState state;
    state.long_mode = long_mode;
    state.rip = layout->load_address + (long_mode ? 0x200 : 0);
    state.rsi = kZeroPage;
    state.rsp = 0x9000;
    state.cr3 = kPageTables;
    state.gdt_base = kGdt;
    state.gdt_limit = 31;
    return state;
}

}  // namespace shadowbox
