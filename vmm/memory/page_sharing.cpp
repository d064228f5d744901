// SPDX-License-Identifier: MIT
#include "vmm/memory/page_sharing.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/host/host_time.h"
#include "mmu/remap.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

constexpr u64 kNsPerSecond = 1'000'000'000, kTickNs = 50'000'000;
constexpr std::size_t kBatch = 256;
/// Pages that may be passed over for one that is looked at: most of a small guest's memory was never touched.
constexpr u64 kPassedOver = 64;

using Page = std::array<u8, kPageSize>;

u64 hash_of(const Page& page, u64 key) { return XXH3_64bits_withSeed(page.data(), page.size(), key); }

u64 end_of_ram(const GuestMemory& memory, u64 memory_bytes) {
    const u64 pages = memory_bytes / kPageSize, above = u64{1} << (32 - kPageShift);
    return memory.pmap().load(Ppn(above)).is_ram() ? above + pages : pages;
}

PageSharing::Counts& operator+=(PageSharing::Counts& sum, const PageSharing::Counts& more) {
    sum.looked_at += more.looked_at, sum.zero += more.zero, sum.shared += more.shared;
    sum.stale += more.stale, sum.differed += more.differed, sum.refused += more.refused;
    sum.rounds += more.rounds, sum.time_ns += more.time_ns;
    return sum;
}

}  // namespace

struct PageSharing::Batch {
    struct Wish {
        RemapOperation* operation;
        Ppn ppn;
        u64 hash;
        bool zero;
    };
    const std::vector<VmHandle>& vms;  // keeps those alive that the operations name
    VmHandle vm;                       // whose pages are looked at
    Guest& guest;
    u64 key, zero_hash;
    std::unique_ptr<RemapBatch> remap = std::make_unique<RemapBatch>();
    std::vector<Wish> wishes;

    VirtualMachine* find(VmId id) const {
        for (const VmHandle& one : vms)
            if (one->id() == id) return one.get();
        return nullptr;
    }
};

PageSharing::PageSharing(Host& host, const SharingRates& rates)
    : host_(host), secret_(XXH3_64bits_withSeed("sharing", 7, host.entropy())), rates_(rates) {}

void PageSharing::start() {
    std::lock_guard lock(mutex_);
    if (service_) return;
    last_tick_ = 0;
    service_ =
        host_.services().add("page sharing", kTickNs, ServiceClock::kGuest, [this](u64 now) { tick(now); });
}

void PageSharing::stop() {
    std::optional<ServiceId> service;
    {
        std::lock_guard lock(mutex_);
        service = std::exchange(service_, std::nullopt);
    }
    if (service) host_.services().stop(*service);  // waits for a tick, which takes the lock
}

bool PageSharing::running() const {
    std::lock_guard lock(mutex_);
    return service_.has_value();
}

void PageSharing::set_rates(const SharingRates& rates) {
    std::lock_guard lock(mutex_);
    rates_ = rates;
}

SharingRates PageSharing::rates() const {
    std::lock_guard lock(mutex_);
    return rates_;
}

PageSharing::Counts PageSharing::counts() const {
    std::lock_guard lock(mutex_);
    Counts sum = ended_;
    for (const auto& [id, guest] : guests_) sum += guest.counts;
    return sum;
}

PageSharing::Counts PageSharing::counts(VmId vm) const {
    std::lock_guard lock(mutex_);
    auto at = guests_.find(vm);
    return at == guests_.end() ? Counts{} : at->second.counts;
}

ContentIndex::Counts PageSharing::index_counts() const {
    std::lock_guard lock(mutex_);
    return index_ ? index_->counts() : ContentIndex::Counts{};
}

u64 PageSharing::bytes() const {
    std::lock_guard lock(mutex_);
    return (index_ ? index_->bytes() : 0) + guests_.size() * sizeof(Guest);
}

u64 PageSharing::key_of(const VirtualMachine& vm) const {
    const std::string& group = vm.config().trust_group;
    return XXH3_64bits_withSeed(group.data(), group.size(), secret_);
}

ContentIndex& PageSharing::index() {
    if (!index_) index_.emplace(static_cast<u32>(std::min<u64>(host_.pool().capacity(), u64{1} << 30)));
    return *index_;
}

PageSharing::Guest& PageSharing::guest_of(VirtualMachine& vm) {
    auto at = guests_.find(vm.id());
    if (at != guests_.end()) return at->second;
    const u64 pages = end_of_ram(vm.memory(), vm.config().memory_bytes);
    const u64 seed = XXH3_64bits_withSeed("order", 5, secret_ + vm.id().value);
    return guests_.emplace(vm.id(), Guest{ScanOrder(pages, seed), 0, {}}).first->second;
}

void PageSharing::forget_ended(const std::vector<VmHandle>& vms) {
    std::erase_if(guests_, [&](const auto& known) {
        for (const VmHandle& vm : vms)
            if (vm->id() == known.first && !vm->finished()) return false;
        if (index_) index_->remove_hints_of(known.first);
        ended_ += known.second.counts;
        return true;
    });
}

void PageSharing::tick(u64 now) {
    const std::vector<VmHandle> vms = host_.vms();
    std::lock_guard lock(mutex_);
    forget_ended(vms);
    const double seconds = static_cast<double>(std::min(now - std::exchange(last_tick_, now), kNsPerSecond)) /
                           static_cast<double>(kNsPerSecond);
    std::vector<std::pair<VmHandle, double>> wanted;
    double sum = 0;
    for (const VmHandle& vm : vms) {
        if (!vm->started() || vm->finished()) continue;
        const bool idle = !host_.config().icount && vm->idle();
        wanted.emplace_back(vm, static_cast<double>(idle ? rates_.idle : rates_.busy) * seconds);
        sum += wanted.back().second;
    }
    const double most = static_cast<double>(rates_.most) * seconds;
    for (auto& [vm, pages] : wanted) {
        Guest& guest = guest_of(*vm);
        guest.credit += sum > most ? pages * most / sum : pages;
        const u64 whole = static_cast<u64>(guest.credit);
        guest.credit -= static_cast<double>(whole);
        scan_guest(vms, vm, whole);
    }
}

void PageSharing::scan(u64 pages) {
    const std::vector<VmHandle> vms = host_.vms();
    std::lock_guard lock(mutex_);
    forget_ended(vms);
    for (const VmHandle& vm : vms)
        if (!vm->finished()) scan_guest(vms, vm, pages);
}

void PageSharing::scan_guest(const std::vector<VmHandle>& vms, const VmHandle& vm, u64 pages) {
    if (!pages) return;
    const u64 began = host_thread_cpu_ns();
    Guest& guest = guest_of(*vm);
    const u64 key = key_of(*vm);
    Batch batch{vms, vm, guest, key, hash_of(Page{}, key)};
    const u64 last = std::min(pages * kPassedOver, guest.order.count());
    for (u64 passed = 0; pages && passed < last; ++passed) {
        const Ppn ppn(guest.order.next());
        const PmapEntry entry = vm->memory().pmap().load(ppn);
        if (entry.state() != PageState::kResident || entry.moving()) continue;
        --pages;
        look(batch, vm, ppn);
        if (batch.wishes.size() >= kBatch) finish(batch);
    }
    finish(batch);
    guest.counts.rounds = guest.order.rounds();
    guest.counts.time_ns += host_thread_cpu_ns() - began;
}

void PageSharing::look(Batch& batch, const VmHandle& vm, Ppn ppn) {
    GuestMemory& memory = vm->memory();
    Page page;
    if (!memory.peek(Gpa(ppn.value << kPageShift), page)) return;
    Counts& counts = batch.guest.counts;
    ++counts.looked_at;
    const u64 hash = hash_of(page, batch.key);
    if (hash == batch.zero_hash) {
        batch.wishes.push_back({&batch.remap->merge_zero(memory, ppn), ppn, hash, true});
        return;
    }
    // The page that has this content, if it still has it.
    auto keeper = [&]() -> std::optional<PageOf> {
        auto found = index().find(hash);
        if (!found) return std::nullopt;
        if (const Mpn* mpn = std::get_if<Mpn>(&*found)) {
            if (host_.pool().state(*mpn) != MachineState::kShared) return std::nullopt;
            for (const PageOwner& owner : host_.pool().owners(*mpn))
                if (VirtualMachine* other = batch.find(owner.vm)) return PageOf{&other->memory(), owner.ppn};
            return std::nullopt;
        }
        const auto& hint = std::get<ContentIndex::Hint>(*found);
        VirtualMachine* other = batch.find(hint.vm);
        if (!other || hint == ContentIndex::Hint{vm->id(), ppn}) return std::nullopt;
        Page content;
        if (!other->memory().peek(Gpa(hint.ppn.value << kPageShift), content) ||
            hash_of(content, batch.key) != hash) {
            ++counts.stale;
            return std::nullopt;
        }
        return PageOf{&other->memory(), hint.ppn};
    }();
    if (keeper)
        batch.wishes.push_back(
            {&batch.remap->share(memory, ppn, *keeper->memory, keeper->ppn), ppn, hash, false});
    else
        index().put(hash, ContentIndex::Hint{vm->id(), ppn});
}

void PageSharing::finish(Batch& batch) {
    if (batch.wishes.empty()) return;
    batch.remap->run();
    Counts& counts = batch.guest.counts;
    const Pmap& pmap = batch.vm->memory().pmap();
    for (const Batch::Wish& wish : batch.wishes) {
        switch (wish.operation->result()) {
            case RemapResult::kDone: {
                ++(wish.zero ? counts.zero : counts.shared);
                const PmapEntry entry = pmap.load(wish.ppn);
                if (!wish.zero && entry.state() == PageState::kShared) index().put(wish.hash, entry.mpn());
                break;
            }
            case RemapResult::kDiffers:
                ++counts.differed;
                if (!wish.zero) index().remove(wish.hash);
                break;
            case RemapResult::kNoRoom:  // it has all the owners that it can have: the next ones share this
                index().put(wish.hash, ContentIndex::Hint{batch.vm->id(), wish.ppn});
                break;
            default: ++counts.refused;
        }
    }
    batch.wishes.clear();
    batch.remap = std::make_unique<RemapBatch>();
}

}  // namespace shadowbox
