// SPDX-License-Identifier: MIT
// Files that are booted: bzImage, ELF (PVH and multiboot), and disk and CD images. A valid file is made first
// and then changed as the bytes say, so that the loaders come far. They may refuse; what they load lies
// inside the guest's memory.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "bios/elf_boot.h"
#include "bios/linux_boot.h"
#include "core/host/file.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/bios/kernel_files.h"
#include "ui/options/image_check.h"
#include "vmm/disks/image_file.h"

namespace shadowbox::fuzz {

namespace {

using namespace test;

void change(Input& in, std::vector<u8>& file, std::size_t header) {
    while (!in.empty()) {
        u8 kind = in.byte();
        u64 where = in.below(header);
        unsigned size = 1u << (kind & 3);
        u64 value = kind & 4   ? in.number(size)
                    : kind & 8 ? ~u64{0} >> (kind >> 4)
                               : u64{1} << (in.byte() & 63);
        if (where + size <= file.size()) memcpy(file.data() + where, &value, size);
        if (kind >= 0xF0) file.resize(std::min<std::size_t>(file.size(), in.below(65536)));
    }
}

void check_state(const Expected<BootState>& state) {
    if (!state) {
        FUZZ_CHECK(!state.error().text().empty(), "an error without words");
        return;
    }
    FUZZ_CHECK(state->rsp < GuestRam::kBytes && state->gdt_base < GuestRam::kBytes &&
                   state->rsi < GuestRam::kBytes && state->rbx < GuestRam::kBytes,
               "boot state outside memory");
}

void boot_linux(Input& in, GuestRam& ram) {
    LinuxImage image{bzimage(in.below(0x2000)), std::vector<u8>(in.below(20000)),
                     std::string(in.below(400), 'x')};
    change(in, image.kernel, 0x270);
    is_bzimage(image.kernel);
    auto checked = check_linux(image, GuestRam::kBytes);
    auto loaded = load_linux(image, ram.memory, GuestRam::kBytes, 0xF0000);
    FUZZ_CHECK(checked.has_value() == loaded.has_value(), "checked and loaded differ: {}",
               checked ? loaded.error().text() : checked.error().text());
    check_state(loaded);
}

void boot_elf(Input& in, GuestRam& ram) {
    bool wide = in.flag();
    std::vector<u8> code = multiboot_header(in.flag() ? 1 << 16 : 0, {0x100000, 0x100000, 0, 0, 0x100000});
    code.resize(code.size() + in.below(3000), 0x90);
    std::vector<ElfSegment> segments = {
        {1, 0, 0x100000, code}, {1, 0, 0x200000, std::vector<u8>(in.below(500)), in.below(100000) + 500}};
    if (in.flag()) segments.push_back(pvh_note(0x100020));
    ElfKernel kernel{elf_file(wide, 0x100000, segments), {}, "quiet"};
    if (in.flag()) kernel.modules.push_back({std::vector<u8>(in.below(9000)), "module"});
    change(in, kernel.kernel, in.flag() ? kernel.kernel.size() : 232);
    ElfBoot protocol = elf_boot_protocol(kernel.kernel);
    auto loaded = load_elf_kernel(kernel, ram.memory, GuestRam::kBytes, 0xF0000);
    FUZZ_CHECK(protocol != ElfBoot::kNone || !loaded, "loaded without a protocol");
    check_state(loaded);
}

/// A file that is looked at as a disk and as a CD. One name, written anew each time.
void look_at_image(Input& in) {
    static const std::string path = fmt::format("/tmp/shadowbox-fuzz-{}.img", getpid());
    static const bool removed_at_exit = std::atexit([] { unlink(path.c_str()); }) == 0;
    (void)removed_at_exit;
    std::vector<u8> bytes(in.flag() ? 18 * 2048 : in.below(3000));
    static constexpr u8 kVolume[] = {1, 'C', 'D', '0', '0', '1', 1};
    if (bytes.size() > 17 * 2048)
        std::copy(std::begin(kVolume), std::end(kVolume), bytes.begin() + 16 * 2048);
    while (!in.empty() && !bytes.empty()) {
        std::size_t base = bytes.size() > 17 * 2048 && in.flag() ? 16 * 2048 : 0;
        bytes[(base + in.below(512)) % bytes.size()] = in.byte();
    }
    FILE* file = fopen(path.c_str(), "wb");
    FUZZ_CHECK(file && (bytes.empty() || fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size()),
               "cannot write {}", path);
    fclose(file);
    is_iso_image(path);
    DriveConfig drive;
    drive.file = path;
    for (bool cdrom : {false, true}) {
        drive.cdrom = cdrom;
        if (auto checked = check_image(drive); !checked)
            FUZZ_CHECK(!checked.error().text().empty(), "an error without words");
    }
    for (ImageMode mode : {ImageMode::kReadOnly, ImageMode::kSnapshot, ImageMode::kWritable}) {
        auto image = ImageFile::open(path, mode);
        if (!image) continue;
        u8 sector[512];
        FUZZ_CHECK((*image)->size_bytes() % 512 == 0, "part of a sector");
        FUZZ_CHECK((*image)->read((*image)->size_bytes() - 512, sector).has_value(),
                   "the last sector cannot be read");
        FUZZ_CHECK(!(*image)->read((*image)->size_bytes(), sector), "a sector behind the end can be read");
    }
}

}  // namespace

void fuzz_boot_files(std::span<const u8> input) {
    static GuestRam* ram = new GuestRam;
    Input in(input);
    switch (in.below(3)) {
        case 0: return boot_linux(in, *ram);
        case 1: return boot_elf(in, *ram);
        default: return look_at_image(in);
    }
}

}  // namespace shadowbox::fuzz
