// SPDX-License-Identifier: MIT
#include "vmm/disks/image_file.h"

#include <algorithm>
#include <cstring>

namespace shadowbox {

namespace {
constexpr u64 kSector = 512, kBlock = 4096;
}

Expected<std::unique_ptr<ImageFile>> ImageFile::open(const std::string& path, ImageMode mode) {
    std::unique_ptr<ImageFile> image(new ImageFile);
    image->path_ = path;
    auto file =
        File::open(path, mode == ImageMode::kWritable ? File::Mode::kReadWrite : File::Mode::kReadOnly);
    if (!file) {
        bool denied = file.error().code == ErrorCode::kDenied && mode == ImageMode::kWritable;
        return wrap_error(file.error(), "cannot open the image '{}'{}", path,
                          denied ? " for writing (use readonly=on or -snapshot)" : "");
    }
    image->file_ = std::move(*file);
    auto size = image->file_.size();
    if (!size) return wrap_error(size.error(), "cannot use the image '{}'", path);
    if (*size == 0) return make_error(ErrorCode::kCorrupt, "the image '{}' is empty", path);
    auto locked = mode == ImageMode::kWritable ? image->file_.lock_exclusive() : image->file_.lock_shared();
    if (!locked && mode != ImageMode::kSnapshot) {
        return make_error(ErrorCode::kDenied,
                          "the image '{}' is in use by another machine; give both -snapshot to share it",
                          path);
    }
    image->file_size_ = *size;
    image->size_ = (*size + kSector - 1) / kSector * kSector;
    image->read_only_ = mode == ImageMode::kReadOnly;
    if (mode == ImageMode::kWritable && *size % kSector) {
        return make_error(ErrorCode::kCorrupt,
                          "the image '{}' is truncated: {} bytes are not whole sectors of 512; use "
                          "readonly=on to look into it",
                          path, *size);
    }
    if (mode == ImageMode::kSnapshot) {
        auto overlay = File::temporary();
        if (!overlay) return wrap_error(overlay.error(), "no temporary file for -snapshot of '{}'", path);
        image->overlay_ = std::move(*overlay);
        image->overlaid_.assign((image->size_ + kBlock - 1) / kBlock, false);
    }
    return image;
}

Expected<void> ImageFile::read_base(u64 offset, std::span<u8> to) {
    u64 inside = offset < file_size_ ? std::min<u64>(to.size(), file_size_ - offset) : 0;
    std::memset(to.data() + inside, 0, to.size() - inside);
    if (!inside) return {};
    return file_.read(offset, to.first(inside));
}

Expected<void> ImageFile::read(u64 offset, std::span<u8> to) {
    std::lock_guard lock(mutex_);
    if (offset > size_ || to.size() > size_ - offset)
        return make_error(ErrorCode::kInvalidArgument, "read beyond the end of '{}'", path_);
    if (!overlay_) return read_base(offset, to);
    while (!to.empty()) {
        u64 block = offset / kBlock;
        u64 end = block + 1;
        while (end < overlaid_.size() && overlaid_[end] == overlaid_[block] &&
               end * kBlock < offset + to.size())
            ++end;
        u64 piece = std::min<u64>(to.size(), end * kBlock - offset);
        auto done =
            overlaid_[block] ? overlay_.read(offset, to.first(piece)) : read_base(offset, to.first(piece));
        if (!done) return done;
        to = to.subspan(piece);
        offset += piece;
    }
    return {};
}

/// A block that a write covers in part takes the rest from the image.
Expected<void> ImageFile::fill_block(u64 block) {
    if (overlaid_[block]) return {};
    std::vector<u8> bytes(kBlock);
    if (auto done = read_base(block * kBlock, bytes); !done) return done;
    if (auto done = overlay_.write(block * kBlock, bytes); !done) return done;
    overlaid_[block] = true;
    return {};
}

Expected<void> ImageFile::write_overlay(u64 offset, std::span<const u8> from) {
    u64 end = offset + from.size(), first = offset / kBlock, last = (end - 1) / kBlock;
    if (offset % kBlock)
        if (auto done = fill_block(first); !done) return done;
    if (end % kBlock)
        if (auto done = fill_block(last); !done) return done;
    if (auto done = overlay_.write(offset, from); !done) return done;
    for (u64 block = first; block <= last; ++block) overlaid_[block] = true;
    return {};
}

Expected<void> ImageFile::write(u64 offset, std::span<const u8> from) {
    std::lock_guard lock(mutex_);
    if (read_only_) return make_error(ErrorCode::kDenied, "the image '{}' is read-only", path_);
    if (from.empty()) return {};
    if (offset > size_ || from.size() > size_ - offset)
        return make_error(ErrorCode::kInvalidArgument, "write beyond the end of '{}'", path_);
    return overlay_ ? write_overlay(offset, from) : file_.write(offset, from);
}

Expected<void> ImageFile::flush() {
    std::lock_guard lock(mutex_);
    return read_only_ || overlay_ ? Expected<void>{} : file_.flush();
}

}  // namespace shadowbox
