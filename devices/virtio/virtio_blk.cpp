// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_blk.h"

#include <cstring>

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
    std::vector<u8> data;
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
    auto done = [this, request](IoStatus status) { complete(request, status); };
    switch (request->type) {
        case kIn:
            request->data.resize(bytes);
            return disk_.read(sector * kSector, std::span<u8>(request->data), done);
        case kOut:
            request->data.resize(bytes);
            if (queue(0).read(request->chain, 16, request->data) != bytes)
                return complete(request, IoStatus::kError);
            if (disk_.read_only()) return complete(request, IoStatus::kError);
            return disk_.write(sector * kSector, std::span<u8>(request->data), done);
        case kFlushRequest: return disk_.flush(done);
        case kGetId: {
            request->data.assign(serial_.begin(), serial_.end());
            return complete(request, IoStatus::kOk);
        }
        default: {
            u8 status = kUnsupported;
            queue(0).write(request->chain, writable - 1, std::span(&status, 1));
            finish(0, request->chain, 1);
        }
    }
}

void VirtioBlk::complete(const std::shared_ptr<Request>& request, IoStatus result) {
    if (request->epoch != epoch()) return;  // the device was reset meanwhile
    u64 written = 0, last = request->chain.writable_bytes() - 1;
    bool to_guest = request->type == kIn || request->type == kGetId;
    if (result == IoStatus::kOk && to_guest) {
        u64 wanted = std::min<u64>(request->data.size(), last);
        written = queue(0).write(request->chain, 0, std::span(request->data).first(wanted));
        if (written < wanted) result = IoStatus::kError;
    }
    u8 status = result == IoStatus::kOk ? kOk : kIoError;
    queue(0).write(request->chain, last, std::span(&status, 1));
    finish(0, request->chain, static_cast<u32>(written + 1));
}

}  // namespace shadowbox
