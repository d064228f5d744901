// SPDX-License-Identifier: MIT
#include "vmm/memory/swap_store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "core/check.h"

namespace shadowbox {

namespace {

u32 checksum_of(const u8* page) { return static_cast<u32>(XXH64(page, kPageSize, 0)); }

class SwapFile final : public SwapDevice {
 public:
    explicit SwapFile(File file) : file_(std::move(file)) {}
    Expected<void> read(u64 offset, std::span<u8> to) override { return file_.read(offset, to); }
    Expected<void> write(u64 offset, std::span<const u8> from) override { return file_.write(offset, from); }

 private:
    File file_;
};

}  // namespace

Expected<std::unique_ptr<SwapDevice>> make_swap_file(const std::string& path, u64 bytes) {
    auto file = File::open(path, File::Mode::kCreateNew);
    if (!file) return tl::unexpected(file.error());
    file->remove_name();
    if (auto ok = file->resize(bytes); !ok) return tl::unexpected(ok.error());
    (void)file->bypass_cache();  // where it cannot, the host holds pages twice for a while
    return std::make_unique<SwapFile>(std::move(*file));
}

SwapStore::SwapStore(std::unique_ptr<SwapDevice> device, u64 slots)
    : device_(std::move(device)), slots_(slots + 1), counts_{slots, slots, 0, 0} {}

/// The first free stretch of `wanted` slots that begins in [from, to), else the longest; nothing if none is.
std::optional<SwapStore::Run> SwapStore::stretch(u64 from, u64 to, u64 wanted) const {
    Run best;
    for (u64 slot = from; slot < to;) {
        if (slots_[slot].references) {
            ++slot;
            continue;
        }
        Run run{slot, 0};
        while (slot < slots_.size() && run.count < wanted && !slots_[slot].references) ++slot, ++run.count;
        if (run.count == wanted) return run;
        if (run.count > best.count) best = run;
    }
    return best.count ? std::optional(best) : std::nullopt;
}

std::optional<SwapStore::Run> SwapStore::allocate(u64 wanted) {
    std::lock_guard lock(mutex_);
    if (!wanted || !counts_.free) return std::nullopt;
    auto behind = stretch(cursor_, slots_.size(), wanted);
    if (!behind || behind->count < wanted) {
        auto before = stretch(1, cursor_, wanted);
        if (before && (!behind || before->count > behind->count)) behind = before;
    }
    for (u64 slot = behind->first; slot < behind->first + behind->count; ++slot) {
        slots_[slot].references = 1;
        ++slots_[slot].generation;
    }
    counts_.free -= behind->count;
    cursor_ = std::min(behind->first + behind->count, slots_.size() - 1);
    return behind;
}

u8 SwapStore::generation(u64 slot) const {
    std::lock_guard lock(mutex_);
    return slots_.at(slot).generation;
}

void SwapStore::add_references(u64 slot, u64 count) {
    std::lock_guard lock(mutex_);
    VM_CHECK(slot && slot < slots_.size() && slots_[slot].references);
    slots_[slot].references += static_cast<u32>(count);
}

void SwapStore::release(u64 slot) {
    std::lock_guard lock(mutex_);
    VM_CHECK(slot && slot < slots_.size() && slots_[slot].references);
    if (--slots_[slot].references == 0) ++counts_.free;
}

Expected<void> SwapStore::write(u64 first, std::span<const u8> pages) {
    const u64 count = pages.size() / kPageSize;
    std::vector<u32> checksums;
    for (u64 i = 0; i < count; ++i) checksums.push_back(checksum_of(pages.data() + i * kPageSize));
    if (auto ok = device_->write(first * kPageSize, pages); !ok) return ok;
    std::lock_guard lock(mutex_);
    for (u64 i = 0; i < count; ++i) slots_.at(first + i).checksum = checksums[i];
    counts_.written += count;
    return {};
}

Expected<void> SwapStore::read(u64 first, std::span<u8> pages) {
    if (auto ok = device_->read(first * kPageSize, pages); !ok) return ok;
    const u64 count = pages.size() / kPageSize;
    for (u64 i = 0; i < count; ++i) {
        const u32 checksum = checksum_of(pages.data() + i * kPageSize);
        std::lock_guard lock(mutex_);
        if (checksum != slots_.at(first + i).checksum)
            return make_error(ErrorCode::kCorrupt, "swap slot {} does not hold what was written", first + i);
        ++counts_.read;
    }
    return {};
}

SwapStore::Counts SwapStore::counts() const {
    std::lock_guard lock(mutex_);
    return counts_;
}

}  // namespace shadowbox
