// SPDX-License-Identifier: MIT
#include "ui/options/image_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <set>

#include "core/host/file.h"

namespace shadowbox {

namespace fs = std::filesystem;

namespace {

constexpr u64 kVolume = 16 * 2048;  // ISO 9660: the primary volume descriptor's sector

struct Signature {
    u64 offset;
    std::string_view bytes;
    const char* name;
};
constexpr Signature kOtherFormats[] = {{0, "QFI\xfb", "qcow2"},
                                       {0, "KDMV", "VMDK"},
                                       {0x40, "\x7f\x10\xda\xbe", "VDI"},
                                       {0, "vhdxfile", "VHDX"},
                                       {0, "conectix", "VHD"}};

/// Compressed files: what a download often is.
constexpr Signature kCompressed[] = {{0, "\x1f\x8b", "gzip"},
                                     {0,
                                      "\xfd"
                                      "7zXZ",
                                      "xz"},
                                     {0, "\x28\xb5\x2f\xfd", "zstd"},
                                     {0, "BZh", "bzip2"},
                                     {0, "\x04\x22\x4d\x18", "lz4"},
                                     {0, "PK\x03\x04", "zip"},
                                     {0, "7z\xbc\xaf\x27\x1c", "7z"}};

bool holds(const File& file, u64 offset, std::string_view bytes) {
    std::array<u8, 16> found{};
    return file.read(offset, std::span(found).first(bytes.size())) &&
           std::memcmp(found.data(), bytes.data(), bytes.size()) == 0;
}

Expected<void> check_content(const DriveConfig& drive, const File& file, u64 size) {
    for (const Signature& format : kOtherFormats) {
        if (size >= 512 && holds(file, format.offset, format.bytes))
            return make_error(ErrorCode::kUnsupported,
                              "image '{}' is a {} image, and only raw images are read: convert it with "
                              "qemu-img convert -O raw",
                              drive.file, format.name);
    }
    for (const Signature& format : kCompressed) {
        if (size >= format.bytes.size() && holds(file, 0, format.bytes))
            return make_error(ErrorCode::kUnsupported, "image '{}' is compressed ({}): unpack it first",
                              drive.file, format.name);
    }
    u64 sector = drive.cdrom ? 2048 : 512;
    if (size % sector && (drive.cdrom || !drive.read_only))  // a cut-off disk can still be looked into
        return make_error(ErrorCode::kCorrupt,
                          "image '{}' is cut off: its {} bytes are not whole sectors of {}; copy it again",
                          drive.file, size, sector);
    if (drive.cdrom && size > kVolume + 2048 && holds(file, kVolume, std::string_view("\1CD001", 6))) {
        std::array<u8, 4> count{};  // volume space size, little-endian half
        if (!file.read(kVolume + 80, count)) return {};
        u64 blocks = count[0] | u64{count[1]} << 8 | u64{count[2]} << 16 | u64{count[3]} << 24;
        if (blocks * 2048 > size)
            return make_error(ErrorCode::kCorrupt,
                              "image '{}' is cut off: its volume has {} bytes, the file {}; copy it again",
                              drive.file, blocks * 2048, size);
    }
    return {};
}

}  // namespace

std::string guest_name_of(const std::string& image) {
    std::string name = fs::path(image).stem().string();
    for (char& c : name)
        if (!isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
    return name.empty() ? "vm" : name;
}

bool is_iso_image(const std::string& file) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) return false;
    auto opened = File::open(file, File::Mode::kReadOnly);
    return opened && holds(*opened, kVolume, std::string_view("\1CD001", 6));
}

Expected<void> check_file(const std::string& file, const char* what) {
    std::error_code error;
    fs::file_status status = fs::status(file, error);
    if (status.type() == fs::file_type::not_found)
        return make_error(ErrorCode::kNotFound, "{} '{}' does not exist: check the path", what, file);
    if (status.type() == fs::file_type::directory)
        return make_error(ErrorCode::kInvalidArgument, "{} '{}' is a directory: name a file", what, file);
    if (status.type() != fs::file_type::regular && status.type() != fs::file_type::block &&
        fs::exists(status))
        return make_error(ErrorCode::kInvalidArgument,
                          "{} '{}' is {}: it must be a file or a disk, which can be read at any place", what,
                          file,
                          status.type() == fs::file_type::fifo        ? "a FIFO"
                          : status.type() == fs::file_type::socket    ? "a socket"
                          : status.type() == fs::file_type::character ? "a character device"
                                                                      : "no file");
    auto opened = File::open(file, File::Mode::kReadOnly);
    if (!opened)
        return wrap_error(opened.error(), "{} '{}' cannot be read: check its permissions", what, file);
    if (status.type() == fs::file_type::regular && opened->size().value_or(0) == 0)
        return make_error(ErrorCode::kCorrupt, "{} '{}' is empty: nothing to read in it", what, file);
    return {};
}

Expected<void> check_image(const DriveConfig& drive) {
    if (auto ok = check_file(drive.file, "image"); !ok) return ok;
    bool writes = !drive.read_only && !drive.snapshot && !drive.cdrom;
    auto opened = File::open(drive.file, writes ? File::Mode::kReadWrite : File::Mode::kReadOnly);
    if (!opened)
        return make_error(
            ErrorCode::kDenied,
            "image '{}' cannot be written: use -snapshot, readonly=on, or change its permissions",
            drive.file);
    auto size = opened->size();
    if (!size) return wrap_error(size.error(), "image '{}' has no size", drive.file);
    return check_content(drive, *opened, *size);
}

Expected<void> check_drives_together(const std::vector<MachineConfig>& machines) {
    struct Use {
        const DriveConfig* drive;
        bool writes;
    };
    std::vector<Use> uses;
    for (const MachineConfig& machine : machines) {
        std::set<std::pair<DriveInterface, int>> taken;
        for (const DriveConfig& drive : machine.drives) {
            if (drive.index >= 0 && !taken.insert({drive.interface, drive.index}).second)
                return make_error(ErrorCode::kInvalidArgument,
                                  "image '{}': position {} is taken by another drive; choose another index=",
                                  drive.file, drive.index);
            bool writes = !drive.read_only && !drive.snapshot && !drive.cdrom;
            for (const Use& other : uses) {
                std::error_code error;
                if ((writes || other.writes) && fs::equivalent(other.drive->file, drive.file, error))
                    return make_error(ErrorCode::kDenied,
                                      "image '{}' is used twice and at least one use writes to it, which "
                                      "would destroy it: add -snapshot",
                                      drive.file);
            }
            uses.push_back({&drive, writes});
        }
        // What has no place of its own takes the next free one; more than four IDE drives have none.
        for (auto [interface, most] : {std::pair{DriveInterface::kIde, 4},
                                       {DriveInterface::kFloppy, 2},
                                       {DriveInterface::kVirtio, 16}}) {
            auto count = std::count_if(machine.drives.begin(), machine.drives.end(),
                                       [i = interface](const DriveConfig& d) { return d.interface == i; });
            if (count > most)
                return make_error(ErrorCode::kInvalidArgument,
                                  "{} drives are too many on one interface: at most {}", count, most);
        }
    }
    return {};
}

}  // namespace shadowbox
