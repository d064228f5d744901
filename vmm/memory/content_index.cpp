// SPDX-License-Identifier: MIT
#include "vmm/memory/content_index.h"

#include <algorithm>
#include <bit>

#include "core/check.h"

namespace shadowbox {

namespace {
constexpr u32 low_of(u64 hash) { return static_cast<u32>(hash); }
constexpr u64 high_of(u64 hash) { return hash >> 44; }
constexpr u64 kNumbers = u64{1} << 28, kVms = u64{1} << 16;
}  // namespace

ContentIndex::ContentIndex(u32 frames)
    : heads_(std::bit_ceil(std::max<u32>(frames, 2)) / 2, kNone),
      frames_(std::max<u32>(frames, 1)),
      mask_(static_cast<u32>(heads_.size() - 1)) {
    for (u32 i = static_cast<u32>(frames_.size()); i-- > 0;) {
        frames_[i] = {0, 0, 0, 0, free_};
        free_ = i;
    }
}

/// The link (a head or a frame's `next`) that leads to the frame, or the end of the chain.
u32* ContentIndex::link_to(u64 hash) {
    u32* link = head_of(low_of(hash));
    while (*link != kNone) {
        const Frame& frame = frames_[*link];
        if (frame.hash_low == low_of(hash) && frame.hash_high == high_of(hash)) break;
        link = &frames_[*link].next;
    }
    return link;
}

const ContentIndex::Frame* ContentIndex::frame_at(u64 hash) {
    const u32 number = *link_to(hash);
    return number == kNone ? nullptr : &frames_[number];
}

std::optional<ContentIndex::Found> ContentIndex::find(u64 hash) const {
    const Frame* frame = frame_of(hash);
    if (!frame) return std::nullopt;
    if (frame->vm) return Hint{VmId(frame->vm), Ppn(frame->number)};
    return Mpn(frame->number);
}

void ContentIndex::put(u64 hash, Hint hint) {
    VM_CHECK(hint.vm.value > 0 && hint.vm.value < kVms);
    put_frame(hash, hint.vm.value, hint.ppn.value);
}
void ContentIndex::put(u64 hash, Mpn shared) { put_frame(hash, 0, shared.value); }

void ContentIndex::put_frame(u64 hash, u64 vm, u64 number) {
    remove(hash);
    if (number >= kNumbers) return;  // beyond 1 TiB: not looked for
    if (free_ == kNone) replace_one();
    const u32 taken = free_;
    Frame& frame = frames_[taken];
    free_ = frame.next;
    u32* head = head_of(low_of(hash));
    frame.number = number, frame.vm = vm, frame.hash_high = high_of(hash);
    frame.hash_low = low_of(hash), frame.next = *head;
    *head = taken;
    ++(vm ? counts_.hints : counts_.shared);
}

void ContentIndex::take_out(u32* link) {
    const u32 number = *link;
    Frame& frame = frames_[number];
    --(frame.vm ? counts_.hints : counts_.shared);
    *link = frame.next;
    frame.next = free_;
    free_ = number;
}

void ContentIndex::remove(u64 hash) {
    u32* link = link_to(hash);
    if (*link != kNone) take_out(link);
}

/// All frames are in use: the next in turn goes, hint or not. What it stood for is seen again by the scan.
void ContentIndex::replace_one() {
    const u32 victim = next_victim_;
    next_victim_ = (next_victim_ + 1) % static_cast<u32>(frames_.size());
    u32* link = head_of(frames_[victim].hash_low);
    while (*link != victim) link = &frames_[*link].next;
    take_out(link);
    ++counts_.replaced;
}

void ContentIndex::remove_hints_of(VmId vm) {
    for (u32& head : heads_) {
        for (u32* link = &head; *link != kNone;) {
            if (frames_[*link].vm == vm.value)
                take_out(link);
            else
                link = &frames_[*link].next;
        }
    }
}

}  // namespace shadowbox
