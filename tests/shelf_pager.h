// SPDX-License-Identifier: MIT
// A pager for tests that waits: evicted pages lie on a shelf in memory, and a thread of its own brings them
// back, as slowly as it is told. Slots are counted by the PPNs that have them.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/check.h"
#include "mmu/fill_page.h"
#include "mmu/guest_access.h"
#include "mmu/zero_fill_pager.h"

namespace shadowbox::test {

class ShelfPager final : public ZeroFillPager {
 public:
    /// `slowness`: how often the filler gives its time slice away before it has a page.
    explicit ShelfPager(unsigned slowness = 0)
        : slowness_(slowness), filler_([this](std::stop_token stop) { fill_pages(stop); }) {}
    ~ShelfPager() override {
        filler_.request_stop();
        changed_.notify_all();
    }

    PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override {
        if (!away(memory, ppn)) return ZeroFillPager::make_resident(memory, ppn, access);
        request({&memory, ppn, {}});
        return PageOutcome::kWait;
    }
    bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) override {
        if (!away(memory, ppn)) return ZeroFillPager::wait_resident(memory, ppn, access, cancel);
        request({&memory, ppn, {}});
        std::unique_lock lock(mutex_);
        return changed_.wait(lock, cancel, [&] { return !away(memory, ppn); });
    }
    void when_ready(GuestMemory& memory, Ppn ppn, PageAccess access, std::function<void()> ready) override {
        if (!away(memory, ppn)) return ZeroFillPager::when_ready(memory, ppn, access, std::move(ready));
        request({&memory, ppn, std::move(ready)});
    }
    void discard(GuestMemory&, PmapEntry entry) override {
        std::lock_guard lock(mutex_);
        auto found = shelf_.find(entry.slot());
        VM_CHECK(found != shelf_.end() && found->second.generation == entry.generation());
        if (--found->second.references == 0) shelf_.erase(found);
    }
    bool peek(const GuestMemory& memory, Ppn ppn, std::span<u8> page) override {
        const PmapEntry entry = memory.pmap().load_stable(ppn);
        std::lock_guard lock(mutex_);
        auto found = shelf_.find(entry.slot());
        if (entry.state() != PageState::kSwapped || found == shelf_.end()) return false;
        std::copy(found->second.content.begin(), found->second.content.end(), page.begin());
        return true;
    }

    /// A new slot with this content, for `references` PPNs. Slots are used again at once.
    PmapEntry put(const u8* content, u64 references = 1) {
        std::vector<u8> bytes(kPageSize);
        guest_copy_out(bytes.data(), content, kPageSize);
        std::lock_guard lock(mutex_);
        u64 slot = 1;
        while (shelf_.count(slot)) ++slot;
        const u8 generation = ++generations_[slot];
        shelf_[slot] = {std::move(bytes), references, generation};
        return PmapEntry::elsewhere(PageState::kSwapped, slot, generation);
    }
    /// Until let_go() no page comes back.
    void hold() { held_ = true; }
    void let_go() {
        {
            std::lock_guard lock(mutex_);
            held_ = false;
        }
        changed_.notify_all();
    }
    /// Somebody wants a page that is held.
    bool wanted() {
        std::lock_guard lock(mutex_);
        return held_ && !requests_.empty();
    }
    u64 filled() const { return filled_; }
    std::size_t slots_in_use() {
        std::lock_guard lock(mutex_);
        return shelf_.size();
    }

 private:
    struct Slot {
        std::vector<u8> content;
        u64 references;
        u8 generation;
    };
    struct Request {
        GuestMemory* memory;
        Ppn ppn;
        std::function<void()> ready;
    };
    static bool away(const GuestMemory& memory, Ppn ppn) {
        return memory.pmap().load_stable(ppn).state() == PageState::kSwapped;
    }
    void request(Request request) {
        {
            std::lock_guard lock(mutex_);
            requests_.push_back(std::move(request));
        }
        changed_.notify_all();
    }
    void fill(GuestMemory& memory, Ppn ppn) {
        PageFill fill = PageFill::take(memory, ppn);
        if (!fill) return;
        for (unsigned i = 0; i < slowness_; ++i) std::this_thread::yield();
        const PmapEntry entry = fill.entry();
        std::optional<Mpn> mpn = memory.pool().allocate({{memory.vm(), ppn}, PagePurpose::kProgress});
        VM_CHECK(mpn);
        {
            std::lock_guard lock(mutex_);
            guest_copy_in(memory.pool().host(*mpn), shelf_.at(entry.slot()).content.data(), kPageSize);
        }
        fill.install(*mpn);
        discard(memory, entry);
        ++filled_;
    }
    void fill_pages(std::stop_token stop) {
        for (;;) {
            Request next;
            {
                std::unique_lock lock(mutex_);
                if (!changed_.wait(lock, stop, [&] { return !requests_.empty() && !held_; })) return;
                next = std::move(requests_.front());
                requests_.pop_front();
            }
            fill(*next.memory, next.ppn);
            {
                std::lock_guard lock(mutex_);  // whoever looked before the page came is waiting by now
            }
            changed_.notify_all();
            if (next.ready) next.ready();
        }
    }

    const unsigned slowness_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Request> requests_;
    std::map<u64, Slot> shelf_;
    std::map<u64, u8> generations_;
    std::atomic<u64> filled_{0};
    std::atomic<bool> held_{false};  // cleared under mutex_
    std::jthread filler_;            // last: it uses all of the above
};

}  // namespace shadowbox::test
