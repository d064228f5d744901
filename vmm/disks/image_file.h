// SPDX-License-Identifier: MIT
// Disk images: raw files (ISO too), read-only, writable under an exclusive lock, or with a throw-away overlay
// (-snapshot). Bytes only; the asynchronous side that devices see is ImageBackend.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/host/file.h"

namespace shadowbox {

enum class ImageMode : u8 { kReadOnly, kWritable, kSnapshot };

class ImageFile {
 public:
    /// One clear line for: missing, empty, a directory, not readable, in use.
    static Expected<std::unique_ptr<ImageFile>> open(const std::string& path, ImageMode mode);

    /// Size the guest sees: whole sectors; a last partial one is padded with zeros (and makes the image
    /// read-only).
    u64 size_bytes() const { return size_; }
    bool read_only() const { return read_only_; }
    const std::string& path() const { return path_; }

    // --- any thread; requests are serialised ---
    Expected<void> read(u64 offset, std::span<u8> to);
    Expected<void> write(u64 offset, std::span<const u8> from);
    Expected<void> flush();
    /// One more request failed; how many by now.
    u64 count_failure() { return ++failures_; }

 private:
    ImageFile() = default;
    Expected<void> read_base(u64 offset, std::span<u8> to);
    Expected<void> write_overlay(u64 offset, std::span<const u8> from);
    Expected<void> fill_block(u64 block);

    std::string path_;
    File file_;
    u64 file_size_ = 0, size_ = 0;
    bool read_only_ = false;
    std::mutex mutex_;
    std::atomic<u64> failures_{0};
    // Snapshot: blocks that were written live in a nameless file at their own offsets.
    File overlay_;
    std::vector<bool> overlaid_;
};

}  // namespace shadowbox
