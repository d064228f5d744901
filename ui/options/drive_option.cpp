// SPDX-License-Identifier: MIT
#include "ui/options/drive_option.h"

#include "ui/options/key_values.h"

namespace shadowbox {

namespace {

constexpr const char* kKnown =
    "file, if, format, media, index, readonly, snapshot, id, cache, aio, discard, detect-zeroes";

Expected<void> take_interface(KeyValues& values, DriveConfig& drive) {
    std::string name = values.take("if").value_or("ide");
    if (name == "ide")
        drive.interface = DriveInterface::kIde;
    else if (name == "virtio")
        drive.interface = DriveInterface::kVirtio;
    else if (name == "floppy")
        drive.interface = DriveInterface::kFloppy;
    else if (name == "none")
        drive.interface = DriveInterface::kNone;
    else
        return make_error(ErrorCode::kInvalidArgument,
                          "if={}: no such interface; known: ide, virtio, floppy, none", name);
    return {};
}

Expected<void> take_media(KeyValues& values, DriveConfig& drive) {
    std::string media = values.take("media").value_or("disk");
    if (media != "disk" && media != "cdrom")
        return make_error(ErrorCode::kInvalidArgument, "media={}: known: disk, cdrom", media);
    drive.cdrom = media == "cdrom";
    if (drive.cdrom && drive.interface != DriveInterface::kIde && drive.interface != DriveInterface::kNone)
        return make_error(ErrorCode::kInvalidArgument, "media=cdrom needs if=ide");
    std::string format = values.take("format").value_or("raw");
    if (format != "raw")
        return make_error(ErrorCode::kUnsupported,
                          "format={}: only raw images are read; convert it: qemu-img convert -O raw IN OUT",
                          format);
    return {};
}

}  // namespace

Expected<DriveConfig> parse_drive(const std::string& text, std::vector<std::string>* notes) {
    KeyValues values(text, false);
    DriveConfig drive;
    auto file = values.take("file");
    if (!file || file->empty())
        return make_error(ErrorCode::kInvalidArgument, "'{}' names no image: write file=PATH", text);
    drive.file = *file;
    if (auto ok = take_interface(values, drive); !ok) return tl::unexpected(ok.error());
    if (auto ok = take_media(values, drive); !ok) return tl::unexpected(ok.error());
    if (auto index = values.take("index")) {
        u64 last = drive.interface == DriveInterface::kFloppy ? 1
                   : drive.interface == DriveInterface::kIde  ? 3
                                                              : 15;
        auto number = KeyValues("index=" + *index, false).take_number("index", 0, last);
        if (!number) return tl::unexpected(number.error());
        drive.index = static_cast<int>(*number);
    }
    auto read_only = values.take_switch("readonly", drive.cdrom);
    if (!read_only) return tl::unexpected(read_only.error());
    drive.read_only = *read_only || drive.cdrom;
    auto snapshot = values.take_switch("snapshot", false);
    if (!snapshot) return tl::unexpected(snapshot.error());
    drive.snapshot = *snapshot;
    drive.id = values.take("id").value_or("");
    if (drive.interface == DriveInterface::kNone && drive.id.empty())
        return make_error(ErrorCode::kInvalidArgument,
                          "if=none needs an id that a -device names: write id=NAME");
    for (const char* key : {"aio", "discard", "detect-zeroes"})
        if (auto value = values.take(key); value && notes)
            notes->push_back(fmt::format("-drive {}={} has no effect here", key, *value));
    values.take("cache");  // the host's page cache is always used; flushes always reach the medium
    if (auto ok = values.finish("a drive", kKnown); !ok) return tl::unexpected(ok.error());
    return drive;
}

}  // namespace shadowbox
