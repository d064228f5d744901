// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_balloon.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/log.h"

namespace shadowbox {

namespace {
constexpr u64 kMustTellHost = 1 << 0, kStatisticsQueue = 1 << 1, kDeflateOnOom = 1 << 2;
constexpr unsigned kInflate = 0, kStatistics = 2;  // 1: deflate
constexpr u16 kStatisticTags = 64;                 // VIRTIO_BALLOON_S_NR is 16 in Linux; more is not kept
u64 end_of_ram(u64 bytes) {
    u64 low = std::min<u64>(bytes, 0xC0000000);
    return (bytes > low ? (u64{1} << 32) + bytes - low : low) / kPageSize;
}
}  // namespace

VirtioBalloon::VirtioBalloon(u64 memory_bytes, GuestMemory& memory, ApicMessageSink& sink)
    : VirtioPci("virtio-balloon", 5, 0x00FF00, kMustTellHost | kStatisticsQueue | kDeflateOnOom, 3, memory,
                sink),
      pages_(end_of_ram(memory_bytes)),
      in_balloon_(pages_) {}

void VirtioBalloon::device_reset() {
    actual_ = 0;
    ballooned_ = 0;
    std::fill(in_balloon_.begin(), in_balloon_.end(), 0);
    statistics_buffer_.reset();
}

void VirtioBalloon::set_target(u64 pages) {
    target_ = static_cast<u32>(std::min<u64>(pages, 0xFFFFFFFF));
    config_changed();
}

void VirtioBalloon::request_statistics() {
    if (!statistics_buffer_) return;
    VirtqChain buffer = std::move(*statistics_buffer_);
    statistics_buffer_.reset();
    finish(kStatistics, buffer, 0);
}

u8 VirtioBalloon::config_byte(u32 offset) const {
    if (offset < 4) return static_cast<u8>(target_ >> (8 * offset));
    return offset < 8 ? static_cast<u8>(actual_ >> (8 * (offset - 4))) : 0;
}
void VirtioBalloon::config_byte_written(u32 offset, u8 value) {
    if (offset < 4 || offset >= 8) return;
    unsigned shift = 8 * (offset - 4);
    actual_ = (actual_ & ~(0xFFu << shift)) | static_cast<u32>(value) << shift;
}

void VirtioBalloon::queue_notified(unsigned index) {
    if (index == kStatistics)
        take_statistics();
    else
        take_pages(index, index == kInflate);
}

void VirtioBalloon::take_pages(unsigned index, bool inflate) {
    for_each_request(index, [this, index, inflate](const VirtqChain& chain) {
        u64 bytes = std::min<u64>(chain.readable_bytes(), 4 * 65536);
        std::vector<u8> list(bytes & ~u64{3});
        u64 got = queue(index).read(chain, 0, list);
        if (queue(index).stalled()) return;
        for (u64 at = 0; at + 4 <= got; at += 4) {
            u32 ppn;
            memcpy(&ppn, list.data() + at, 4);
            if (ppn >= pages_)
                guest_oddity("virtio-balloon-page",
                             fmt::format("the balloon driver names page {:#x}, which is not RAM", ppn));
            if (ppn >= pages_ || static_cast<bool>(in_balloon_[ppn]) == inflate) continue;
            in_balloon_[ppn] = inflate;
            inflate ? ++ballooned_ : --ballooned_;
        }
        finish(index, chain, 0);
    });
}

void VirtioBalloon::take_statistics() {
    for_each_request(kStatistics, [this](VirtqChain chain) {
        std::vector<u8> list(std::min<u64>(chain.readable_bytes(), 4096));
        u64 got = queue(kStatistics).read(chain, 0, list);
        if (queue(kStatistics).stalled()) return;
        for (u64 at = 0; at + 10 <= got; at += 10) {
            u16 tag;
            u64 value;
            memcpy(&tag, list.data() + at, 2);
            memcpy(&value, list.data() + at + 2, 8);
            if (tag < kStatisticTags) statistics_[tag] = value;
        }
        if (statistics_buffer_) finish(kStatistics, *statistics_buffer_, 0);
        statistics_buffer_ = std::move(chain);
    });
}

void VirtioBalloon::serialize(Archive& archive) {
    VirtioPci::serialize(archive);
    archive.section("virtio-balloon", 1);
    archive(target_, actual_, in_balloon_);
    if (in_balloon_.size() != pages_) {
        archive.fail();
        in_balloon_.assign(pages_, 0);
    }
    // The driver waits for its statistics buffer: it must come back after loading, too.
    bool has_buffer = statistics_buffer_.has_value();
    archive(has_buffer);
    if (archive.loading()) statistics_buffer_.reset();
    if (has_buffer && archive.loading()) statistics_buffer_.emplace();
    if (has_buffer) archive(*statistics_buffer_);
    std::array<u64, kStatisticTags> values{};
    std::array<u8, kStatisticTags> known{};
    for (const auto& [tag, value] : statistics_) values[tag] = value, known[tag] = 1;
    archive(values, known);
    if (!archive.loading()) return;
    statistics_.clear();
    for (u16 tag = 0; tag < kStatisticTags; ++tag)
        if (known[tag]) statistics_[tag] = values[tag];
    for (u8& held : in_balloon_) held = held != 0;
    ballooned_ = static_cast<u64>(std::count(in_balloon_.begin(), in_balloon_.end(), 1));
}

void VirtioBalloon::inspect(Inspector& inspector) const {
    VirtioPci::inspect(inspector);
    inspector.field("target (pages)", target_);
    inspector.field("actual (pages)", actual_);
    inspector.field("ballooned (pages)", ballooned_);
    for (const auto& [tag, value] : statistics_) inspector.field(fmt::format("statistic {}", tag), value);
}

}  // namespace shadowbox
