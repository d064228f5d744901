// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_blk.h"

#include <algorithm>
#include <cstring>

#include "devices/storage/dma_pages.h"

namespace shadowbox {

namespace {
constexpr u64 kSegMax = 1 << 2, kReadOnly = 1 << 5, kBlockSize = 1 << 6, kFlush = 1 << 9;
constexpr u32 kIn = 0, kOut = 1, kFlushRequest = 4, kGetId = 8;
constexpr u8 kOk = 0, kIoError = 1, kUnsupported = 2;
constexpr u64 kSector = 512, kLargestRequest = 16u << 20;
constexpr u32 kSegments = 126;

u64 offered_by(const BlockBackend& disk) {
    return kSegMax | kBlockSize | kFlush | (disk.read_only() ? kReadOnly : 0);
}
}  // namespace

struct VirtioBlk::Request {
    VirtqChain chain;
    u64 epoch;
    u32 type;
    std::vector<u8> data;  // of an answer that comes from the device itself
    DmaPages pages;        // while the disk reads or writes them
    u64 bytes = 0;         // that the disk puts into guest memory
};

VirtioBlk::VirtioBlk(std::string name, BlockBackend& disk, std::string serial, GuestMemory& memory,
                     ApicMessageSink& sink)
    : VirtioPci(std::move(name), 2, 0x010000, offered_by(disk), 1, memory, sink),
      disk_(disk),
      serial_(std::move(serial)) {
    serial_.resize(20, '\0');
}

u8 VirtioBlk::config_byte(u32 offset) const {
    u8 config[24] = {};
    u64 sectors = disk_.size_bytes() / kSector;
    u32 block = kSector;
    memcpy(config, &sectors, 8);
    memcpy(config + 12, &kSegments, 4);
    memcpy(config + 20, &block, 4);
    return offset < sizeof config ? config[offset] : 0;
}

void VirtioBlk::queue_notified(unsigned) {
    for_each_request(0, [this](VirtqChain chain) { start(std::move(chain)); });
}

void VirtioBlk::start(VirtqChain chain) {
    auto request = std::make_shared<Request>();
    request->epoch = epoch();
    u8 header[16];
    u64 writable = chain.writable_bytes(), readable = chain.readable_bytes();
    bool complete_header = queue(0).read(chain, 0, header) == 16;
    if (queue(0).stalled()) return;
    request->chain = std::move(chain);
    if (!complete_header || writable == 0) return finish(0, request->chain, 0);  // no place even for a status
    u64 sector;
    memcpy(&request->type, header, 4);
    memcpy(&sector, header + 8, 8);
    u64 bytes = request->type == kIn ? writable - 1 : request->type == kOut ? readable - 16 : 0;
    bool transfers = request->type == kIn || request->type == kOut;
    if (transfers && (bytes % kSector || bytes > kLargestRequest || sector > disk_.size_bytes() / kSector ||
                      sector * kSector + bytes > disk_.size_bytes())) {
        return complete(request, IoStatus::kError);
    }
    auto done = [this, request](IoStatus status) {
        --under_way_;
        complete(request, status);
    };
    switch (request->type) {
        case kIn:
        case kOut: {
            const bool to_guest = request->type == kIn;
            if (!to_guest && disk_.read_only()) return complete(request, IoStatus::kError);
            const bool pinned = pin(*request, to_guest ? 0 : 16, bytes);
            if (queue(0).stalled()) return;  // the pins go; all of it again later
            if (!pinned) return complete(request, IoStatus::kError);
            if (to_guest) request->bytes = bytes;
            ++under_way_;
            return to_guest ? disk_.read(sector * kSector, request->pages.pieces, done)
                            : disk_.write(sector * kSector, request->pages.pieces, done);
        }
        case kFlushRequest: ++under_way_; return disk_.flush(done);
        case kGetId: {
            request->data.assign(serial_.begin(), serial_.end());
            return complete(request, IoStatus::kOk);
        }
        default: {
            finish_filled(0, request->chain, [this, request, writable] {
                u8 status = kUnsupported;
                queue(0).write(request->chain, writable - 1, std::span(&status, 1));
                return 1;
            });
        }
    }
}

/// Pins the pages of `bytes` bytes of the readable (kOut) or writable buffers, from `offset` on. false: some
/// are not RAM, or the queue is stalled. At most kLargestRequest bytes, so the number of pages is bounded.
bool VirtioBlk::pin(Request& request, u64 offset, u64 bytes) {
    const bool to_guest = request.type == kIn;
    for (const auto& buffer : to_guest ? request.chain.writable : request.chain.readable) {
        u64 left = buffer.size > offset ? std::min<u64>(buffer.size - offset, bytes) : 0;
        Gpa at = buffer.where + offset;
        offset -= std::min<u64>(offset, buffer.size);
        bytes -= left;
        while (left) {
            const u64 piece = std::min<u64>(left, kPageSize - at.offset());
            auto page = memory().try_pin(at.ppn(), to_guest ? PageAccess::kWrite : PageAccess::kRead);
            if (!page) {
                if (page.error().must_wait()) queue(0).stall(page.error());
                return false;
            }
            request.pages.add(std::move(*page), at.offset(), piece);
            at += piece;
            left -= piece;
        }
        if (bytes == 0) break;
    }
    return bytes == 0;
}

void VirtioBlk::complete(const std::shared_ptr<Request>& request, IoStatus result) {
    request->pages.clear();
    if (request->epoch != epoch()) return;  // the device was reset meanwhile
    finish_filled(0, request->chain, [this, request, result] {
        u64 last = request->chain.writable_bytes() - 1, written = request->bytes;
        u8 status = result == IoStatus::kOk ? kOk : kIoError;
        if (status != kOk) written = 0;
        if (status == kOk && request->type == kGetId) {
            u64 wanted = std::min<u64>(request->data.size(), last);
            written = queue(0).write(request->chain, 0, std::span(request->data).first(wanted));
            if (queue(0).stalled()) return u32{0};
            if (written < wanted) status = kIoError;
        }
        queue(0).write(request->chain, last, std::span(&status, 1));
        return static_cast<u32>(written + 1);
    });
}

}  // namespace shadowbox
