// SPDX-License-Identifier: MIT
// A file of the host: disk images, firmware, save states. Positioned reads and writes that are complete or an
// error; locks that belong to this open file (two users inside one process exclude each other too).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

class File {
 public:
    enum class Mode {
        kReadOnly,
        kReadWrite,  ///< must exist
        kCreate,     ///< read-write; made or emptied
        kCreateNew,  ///< read-write; kDenied if there is one already
    };

    File() = default;
    File(File&& other) noexcept;
    File& operator=(File&& other) noexcept;
    ~File();

    static Expected<File> open(const std::string& path, Mode mode);
    /// A nameless temporary file (for -snapshot and swap); gone when closed.
    static Expected<File> temporary();
    /// The whole content; an error above `limit` bytes.
    static Expected<std::vector<u8>> read_all(const std::string& path, u64 limit = u64{1} << 32);

    explicit operator bool() const { return descriptor_ >= 0; }
    const std::string& path() const { return path_; }

    /// Fills all of `to`; reading beyond the end is an error.
    Expected<void> read(u64 offset, std::span<u8> to) const;
    Expected<void> write(u64 offset, std::span<const u8> from);
    Expected<u64> size() const;
    Expected<void> resize(u64 size);
    /// Data is on the medium when this returns.
    Expected<void> flush();
    /// Gives a range back to the file system where it can; reads as zeros afterwards.
    Expected<void> discard(u64 offset, u64 size);

    /// The file goes when it is closed, however the process ends.
    void remove_name();
    /// Reads and writes go past the host's page cache from now on; offsets, sizes and addresses must be
    /// multiples of 4096 then. An error where the file system cannot.
    Expected<void> bypass_cache();

    /// Locks without waiting, until the file is closed; ErrorCode::kDenied if someone else holds it.
    Expected<void> lock_shared();
    Expected<void> lock_exclusive();

 private:
    Expected<void> lock(bool exclusive);
    int descriptor_ = -1;
    std::string path_;
};

}  // namespace shadowbox
