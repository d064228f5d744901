// SPDX-License-Identifier: MIT
// The guest memory of one disk request: pinned pages, and the pieces of them that a BlockBackend takes. Pages
// stay pinned while it lives.
#pragma once

#include <algorithm>
#include <vector>

#include "devices/storage/block_backend.h"
#include "mmu/guest_access.h"
#include "mmu/guest_memory.h"

namespace shadowbox {

struct DmaPages {
    std::vector<PinnedPage> pins;
    BlockBackend::Pieces pieces;
    std::vector<u8> nowhere;  ///< stands for addresses that are not RAM

    /// Bytes [offset, offset + size) of a page. What follows the last piece in the guest and in the pool
    /// makes that longer.
    void add(PinnedPage pin, u64 offset, u64 size) {
        u8* host = pin.host() + offset;
        BlockPiece* before = pieces.empty() ? nullptr : &pieces.back();
        const bool goes_on = before && before->first && before->bytes.data() + before->bytes.size() == host &&
                             before->page_of(before->bytes.size() - 1) + (offset ? 0 : 1) == pin.ppn();
        if (goes_on)
            before->bytes = std::span<u8>(before->bytes.data(), before->bytes.size() + size);
        else
            pieces.push_back({std::span<u8>(host, size), pin.ppn(), static_cast<u32>(offset)});
        pins.push_back(std::move(pin));
    }
    /// As memory that reads as all ones and takes nothing.
    void add_nowhere(u64 size) {
        if (nowhere.empty()) nowhere.assign(kPageSize, 0xFF);
        pieces.push_back({std::span<u8>(nowhere.data(), size), {}, 0});
    }
    void copy_in(std::span<const u8> data) {
        for (const BlockPiece& piece : pieces) {
            const std::size_t size = std::min(piece.bytes.size(), data.size());
            guest_copy_in(piece.bytes.data(), data.data(), size);
            data = data.subspan(size);
        }
    }
    void clear() { pieces.clear(), pins.clear(); }
};

}  // namespace shadowbox
