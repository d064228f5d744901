// SPDX-License-Identifier: MIT
// Frame buffer pages.
#include "devices/display/vga_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/log.h"

namespace shadowbox {

VgaMemory::VgaMemory(GuestMemory& memory, RunExclusive run_exclusive)
    : memory_(memory), run_exclusive_(std::move(run_exclusive)) {
    memory_.map_ram(kParked, kPages);
}

void VgaMemory::place(std::optional<u64> where) {
    Ppn to = where ? Gpa(*where).ppn() : kParked;
    run_exclusive_([this, to] { move_to(to); });
}

bool VgaMemory::is_free(Ppn first) const {
    Ppn own = location();
    for (Ppn ppn = first; ppn < first + kPages; ++ppn) {
        bool mine = ppn >= own && ppn < own + kPages;
        if (!mine && memory_.pmap().load_stable(ppn).state() != PageState::kMmio) return false;
    }
    return true;
}

void VgaMemory::move_to(Ppn to) {
    // A BAR over RAM or ROM would take them away from the guest for good.
    if (!is_free(to)) {
        guest_oddity("vga-overlap", fmt::format("frame buffer placed over memory at {}", to));
        to = kParked;
    }
    let_window_go();
    memory_.relocate(location(), to, kPages);
    location_.store(to.value, std::memory_order_release);
}

MemoryAnswer VgaMemory::hold_window() {
    const u64 first = window_.load(std::memory_order_acquire);
    if (held_.load(std::memory_order_acquire) == first) return {};
    std::lock_guard lock(pins_mutex_);
    if (std::exchange(pinned_, first) != first) pins_.clear();
    while (pins_.size() < kWindowPages && first + pins_.size() < kPages) {
        auto pin = memory_.try_pin(location() + first + pins_.size(), PageAccess::kWrite);
        if (!pin) return pin.error().must_wait() ? pin.error() : MemoryAnswer{};
        pins_.push_back(std::move(*pin));
    }
    held_.store(first, std::memory_order_release);
    return {};
}

void VgaMemory::let_window_go() {
    std::lock_guard lock(pins_mutex_);
    held_.store(kNowhere, std::memory_order_release);
    pinned_ = kNowhere;
    pins_.clear();
}

u8 VgaMemory::load8(u32 offset) {
    u8 value = 0xFF;
    if (offset < kBytes) (void)memory_.try_read(at(offset), std::span(&value, 1));
    return value;
}

u32 VgaMemory::load32(u32 offset) {
    u32 value = ~u32{0};
    if (offset <= kBytes - 4) (void)memory_.try_read(at(offset), std::span(reinterpret_cast<u8*>(&value), 4));
    return value;
}

void VgaMemory::store8(u32 offset, u8 value) {
    if (offset < kBytes) (void)memory_.try_write(at(offset), std::span(&value, 1));
}

void VgaMemory::store32(u32 offset, u32 value) {
    if (offset <= kBytes - 4)
        (void)memory_.try_write(at(offset), std::span(reinterpret_cast<u8*>(&value), 4));
}

void VgaMemory::peek(u64 offset, std::span<u8> to) const {
    std::size_t inside = offset < kBytes ? std::min<std::size_t>(to.size(), kBytes - offset) : 0;
    std::memset(to.data() + inside, 0, to.size() - inside);
    if (inside) memory_.peek(start_of(location()) + offset, to.first(inside));
}

void VgaMemory::clear(u64 bytes) {
    const u64 pages = (std::min<u64>(bytes, kBytes) + kPageSize - 1) / kPageSize;
    run_exclusive_([this, pages] {
        let_window_go();
        memory_.map_ram(location(), pages);
    });
}

void VgaMemory::serialize(Archive& archive) {
    u64 location = location_.load(std::memory_order_relaxed);
    archive(location);
    if (location + kPages > u64{1} << (kPhysicalBits - kPageShift)) location = kParked.value;
    if (archive.loading()) location_.store(location, std::memory_order_release);
}

}  // namespace shadowbox
