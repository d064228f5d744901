// SPDX-License-Identifier: MIT
// What a RemapBatch can do to a page: one small class each, with the three moments at which the protocol
// (remap.h) calls it. While a page's 'moving' bit is the batch's, nobody else changes its state or machine
// page, so between begin() and finish() an entry needs no second look; only its lock, to be published.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "mmu/guest_memory.h"

namespace shadowbox {

class RemapBatch;

enum class RemapResult : u8 {
    kPending,  ///< run() was not called
    kDone,
    kPinned,    ///< a device has the page
    kBusy,      ///< another remap has it
    kHazard,    ///< an instruction waited for it and needs it now
    kState,     ///< not in a state that this operation takes
    kDiffers,   ///< the contents are not what the operation needs, or not any more
    kNoRoom,    ///< no machine page to be had, or the shared page has all the owners that it can have
    kDeclined,  ///< the evict function gave nothing
};
const char* remap_result_name(RemapResult result);

struct PageOf {
    GuestMemory* memory;
    Ppn ppn;
};

constexpr u32 state_bit(PageState state) { return u32{1} << static_cast<unsigned>(state); }

class RemapOperation {
 public:
    virtual ~RemapOperation() = default;
    RemapResult result() const { return result_; }

 protected:
    friend class RemapBatch;
    /// Phase 1: takes the pages it needs. kPending: go on; anything else ends it.
    virtual RemapResult begin(RemapBatch& batch) = 0;
    /// Phase 3: an earlier operation of the batch may have taken the page elsewhere, so look at its state.
    virtual RemapResult act(RemapBatch& batch) = 0;
    RemapResult result_ = RemapResult::kPending;
};

/// Operations on one page that must be owned, in a state that they take.
class OnePage : public RemapOperation {
 public:
    OnePage(GuestMemory& memory, Ppn ppn, u32 states) : page_{&memory, ppn}, states_(states) {}

 protected:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch& batch) final;
    virtual RemapResult act_on(RemapBatch& batch, PmapEntry entry) = 0;
    const PageOf page_;
    const u32 states_;
};

/// A private page gets another machine page, in a zone of the pool.
class MovePage final : public OnePage {
 public:
    MovePage(GuestMemory& memory, Ppn ppn, PageZone zone)
        : OnePage(memory, ppn, state_bit(PageState::kResident)), zone_(zone) {}

 private:
    RemapResult act_on(RemapBatch& batch, PmapEntry entry) override;
    const PageZone zone_;
};

/// A zero or shared page becomes private before anybody writes.
class DuplicatePage final : public OnePage {
 public:
    DuplicatePage(GuestMemory& memory, Ppn ppn)
        : OnePage(memory, ppn, state_bit(PageState::kZero) | state_bit(PageState::kShared)) {}

 private:
    RemapResult act_on(RemapBatch& batch, PmapEntry entry) override;
};

/// If the contents are equal, `ppn` gives up its machine page for that of `other_ppn`. Guests may differ.
class SharePages final : public RemapOperation {
 public:
    SharePages(PageOf page, PageOf other) : page_(page), other_(other) {}

 private:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch& batch) override;
    const PageOf page_, other_;
};

/// A private page of zeros becomes the zero page.
class MergeZero final : public OnePage {
 public:
    MergeZero(GuestMemory& memory, Ppn ppn) : OnePage(memory, ppn, state_bit(PageState::kResident)) {}

 private:
    RemapResult act_on(RemapBatch& batch, PmapEntry entry) override;
};

/// Adds protect reasons; when run() returns, no vCPU can store past them.
class ProtectPage final : public RemapOperation {
 public:
    ProtectPage(GuestMemory& memory, Ppn ppn, u8 reasons) : page_{&memory, ppn}, reasons_(reasons) {}

 private:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch&) override { return RemapResult::kDone; }
    const PageOf page_;
    const u8 reasons_;
};

/// A private page loses its machine page.
class EvictPage final : public OnePage {
 public:
    /// What takes the place of an evicted page: an entry without a machine page (swapped, compressed, ...),
    /// or nullopt to leave it. Called with the frozen content; does no I/O, may not touch guest memory.
    using Evict = std::function<std::optional<PmapEntry>(std::span<const u8, kPageSize> content)>;
    EvictPage(GuestMemory& memory, Ppn ppn, Evict evict)
        : OnePage(memory, ppn, state_bit(PageState::kResident)), evict_(std::move(evict)) {}

 private:
    RemapResult act_on(RemapBatch& batch, PmapEntry entry) override;
    const Evict evict_;
};

/// A page of RAM in any state is given up without being read (the balloon): `to` is kBallooned or kUntouched.
class DropPage final : public OnePage {
 public:
    DropPage(GuestMemory& memory, Ppn ppn, PageState to);

 private:
    RemapResult act_on(RemapBatch& batch, PmapEntry entry) override;
    const PageState to_;
};

/// The memory of a VM by its number; nullptr: it ended.
using FindGuest = std::function<GuestMemory*(VmId)>;

/// A shared machine page is taken from all its owners at once: one entry in all their pmaps. Owners that need
/// it now (pins, hazards, other remaps) keep it, and so does the machine page live on.
class EvictShared final : public RemapOperation {
 public:
    /// As EvictPage::Evict, told how many PPNs will have the entry: references to its slot.
    using Evict = std::function<std::optional<PmapEntry>(std::span<const u8, kPageSize> content, u64 owners)>;
    EvictShared(MachinePool& pool, Mpn mpn, FindGuest find, Evict evict)
        : pool_(pool), mpn_(mpn), find_(std::move(find)), evict_(std::move(evict)) {}
    u64 evicted() const { return result_ == RemapResult::kDone ? owners_.size() : 0; }

 private:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch& batch) override;
    MachinePool& pool_;
    const Mpn mpn_;
    const FindGuest find_;
    const Evict evict_;
    std::vector<PageOf> owners_;
};

/// The machine page gets the host (VM 0) as one more owner, who never writes: its content stays as it is for
/// ever, though the guest's page may leave it. Released by MachinePool::release(mpn, VmId(0), Ppn(mpn)).
class FreezePage final : public OnePage {
 public:
    FreezePage(GuestMemory& memory, Ppn ppn)
        : OnePage(memory, ppn, state_bit(PageState::kResident) | state_bit(PageState::kShared)) {}
    Mpn mpn() const { return mpn_; }

 private:
    RemapResult act_on(RemapBatch& batch, PmapEntry entry) override;
    Mpn mpn_;
};

/// Was the page accessed since it was sampled last? Its translations are dropped, so that the next access is
/// seen (OSDI'02 5.3).
class SamplePage final : public RemapOperation {
 public:
    SamplePage(GuestMemory& memory, Ppn ppn) : page_{&memory, ppn} {}
    bool accessed() const { return accessed_; }

 private:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch&) override { return RemapResult::kDone; }
    const PageOf page_;
    bool accessed_ = false;
};

/// A private page whose content may be read at leisure: pinned, and protected by kProtectSnapshot until
/// somebody writes. Ends with the object.
class StagedPage {
 public:
    StagedPage() = default;
    StagedPage(PageOf page, Mpn mpn) : page_(page), mpn_(mpn) {}
    StagedPage(StagedPage&& other) noexcept;
    StagedPage& operator=(StagedPage&& other) noexcept;
    ~StagedPage() { unpin(); }
    explicit operator bool() const { return page_.memory != nullptr; }
    PageOf page() const { return page_; }
    Mpn mpn() const { return mpn_; }
    /// Through mmu/guest_access.h: a guest that writes now makes evict_staged() say kDiffers.
    const u8* content() const;

 private:
    friend class EvictStaged;
    void unpin();
    PageOf page_{};
    Mpn mpn_;
};

/// First half of an eviction to where writing takes time.
class StagePage final : public RemapOperation {
 public:
    StagePage(GuestMemory& memory, Ppn ppn) : page_{&memory, ppn} {}
    /// When the batch ran and the result is kDone; once.
    StagedPage take() { return std::move(staged_); }

 private:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch& batch) override;
    const PageOf page_;
    StagedPage staged_;
};

/// Second half: kDiffers if the page was written since stage().
class EvictStaged final : public RemapOperation {
 public:
    EvictStaged(StagedPage staged, PmapEntry instead) : staged_(std::move(staged)), instead_(instead) {}

 private:
    RemapResult begin(RemapBatch& batch) override;
    RemapResult act(RemapBatch& batch) override;
    StagedPage staged_;
    const PmapEntry instead_;
};

}  // namespace shadowbox
