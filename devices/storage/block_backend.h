// SPDX-License-Identifier: MIT
// A disk as floppy, IDE and virtio-blk see it: a byte range with asynchronous reads and writes. vmm/
// implements it over image files. Knows nothing of sectors, drives or guests.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmu/page_types.h"

namespace shadowbox {

enum class IoStatus : u8 {
    kOk,
    kError,     ///< the host could not read or write; the guest gets its device's medium error
    kReadOnly,  ///< a write to a read-only image
};

/// Host memory that a request reads or writes, and which guest page that is: sharing at the time of a
/// transfer, and disk blocks that stand for swapped pages, need to know.
struct BlockPiece {
    std::span<u8> bytes;
    std::optional<Ppn>
        first{};     ///< where bytes[0] lies; the next pages of the guest follow. Nothing: a buffer
    u32 offset = 0;  ///< of bytes[0] in that page
    Ppn page_of(std::size_t byte) const { return *first + ((offset + byte) >> kPageShift); }
};

class BlockBackend {
 public:
    /// Runs under the VM's device lock, exactly once per request: either before read()/write()/flush()
    /// returns or later. Devices must cope with both, and with a reset in between.
    using Completion = std::function<void(IoStatus)>;
    /// Pieces of host memory that stay valid until completion (a device buffer, or pinned guest pages).
    using Pieces = std::vector<BlockPiece>;

    virtual ~BlockBackend() = default;
    virtual u64 size_bytes() const = 0;
    virtual bool read_only() const = 0;
    /// Reads past the end yield kError and leave the pieces undefined.
    virtual void read(u64 offset, Pieces to, Completion done) = 0;
    virtual void write(u64 offset, Pieces from, Completion done) = 0;
    /// Completes when everything completed before is on stable storage.
    virtual void flush(Completion done) = 0;
    /// The guest no longer needs these bytes; they may read as zeros afterwards.
    virtual void discard(u64 /*offset*/, u64 /*bytes*/, const Completion& done) { done(IoStatus::kOk); }
    /// For views: the image's file name, say.
    virtual std::string label() const { return {}; }

    void read(u64 offset, std::span<u8> to, Completion done) { read(offset, Pieces{{to}}, std::move(done)); }
    void write(u64 offset, std::span<u8> from, Completion done) {
        write(offset, Pieces{{from}}, std::move(done));
    }
};

}  // namespace shadowbox
