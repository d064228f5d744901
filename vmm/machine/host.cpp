// SPDX-License-Identifier: MIT
#include "vmm/machine/host.h"

#include <algorithm>
#include <random>

#include "core/host/host_memory.h"
#include "core/host/host_time.h"
#include "core/log.h"
#include "mmu/zero_fill_pager.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

bool has_ended(const VirtualMachine& vm) {
    VmState state = vm.state();
    return state == VmState::kPoweredOff || state == VmState::kCrashed;
}

}  // namespace

u64 default_pool_bytes(u64 guest_bytes) {
    u64 limit = host_memory_bytes() / 5 * 4 / kPageSize * kPageSize;
    return std::min(guest_bytes + (u64{64} << 20), limit);
}

Expected<std::unique_ptr<Host>> Host::create(HostConfig config, u64 guest_bytes,
                                             std::shared_ptr<Pager> pager) {
    if (config.pool_bytes == 0) config.pool_bytes = default_pool_bytes(guest_bytes);
    std::unique_ptr<Host> host(new Host(std::move(config)));
    u64 bytes = host->config_.pool_bytes;
    // Addresses for aligned 2 MiB blocks of every guest, for guests that come later and for a pool that
    // grows; only what is used costs memory.
    u64 reserve = 2 * std::max(bytes, guest_bytes) + (u64{320} << 20);
    auto pool = MachinePool::create(bytes / kPageSize, reserve / kPageSize);
    if (!pool) return wrap_error(pool.error(), "cannot make a pool of {} MiB", bytes >> 20);
    host->pool_ = std::move(*pool);
    host->pager_ = pager ? std::move(pager) : std::make_shared<ZeroFillPager>();
    if (host->config_.icount)
        host->entropy_ = host->config_.seed;
    else
        host->entropy_ = (static_cast<u64>(std::random_device{}()) << 32) | std::random_device{}();
    return host;
}

Host::~Host() {
    services_.stop_all();
    stop_all();
    stopping_ = true;
    runner_.stop();
    keeper_signal_->wake.signal();
    if (keeper_.joinable()) keeper_.join();
}

// --- the registry ---

Expected<VmHandle> Host::add(MachineConfig config, CharBackends lines) {
    u64 limit = pool_->capacity() * kPageSize;
    if (config.memory_bytes > limit) {
        return make_error(
            ErrorCode::kInvalidArgument,
            "guest '{}' has {} MiB of memory, more than the pool's {} MiB: raise --pool or lower -m",
            config.name, config.memory_bytes >> 20, limit >> 20);
    }
    u64 id;
    {
        std::lock_guard lock(mutex_);
        id = ++last_id_;
        largest_code_cache_ = std::max(largest_code_cache_, config.code_cache_bytes);
        if (const u64 bytes = config_.code_cache_bytes ? config_.code_cache_bytes : largest_code_cache_)
            code_budget_.set_limit(bytes);
    }
    auto vm = VirtualMachine::create(*this, VmId(id), std::move(config), std::move(lines));
    if (!vm) return tl::unexpected(vm.error());
    std::lock_guard lock(mutex_);
    auto older = [](const VmHandle& a, const VmHandle& b) { return a->id() < b->id(); };
    vms_.insert(std::upper_bound(vms_.begin(), vms_.end(), *vm, older), *vm);
    return *vm;
}

void Host::remove(const VmHandle& vm) {
    vm->stop();
    VmHandle gone;  // the last handle may be this one: its end is not under the mutex
    std::lock_guard lock(mutex_);
    auto found = std::find(vms_.begin(), vms_.end(), vm);
    if (found == vms_.end()) return;
    gone = std::move(*found);
    vms_.erase(found);
    changed_.notify_all();
}

std::vector<VmHandle> Host::vms() const {
    std::lock_guard lock(mutex_);
    return vms_;
}

VmHandle Host::find(VmId id) const {
    std::lock_guard lock(mutex_);
    auto found = std::find_if(vms_.begin(), vms_.end(), [id](const VmHandle& vm) { return vm->id() == id; });
    return found == vms_.end() ? nullptr : *found;
}

void Host::start_all() {
    for (auto& vm : vms()) vm->start();
}

void Host::stop_all() {
    for (auto& vm : vms()) vm->stop();
}

bool Host::all_ended() const {
    std::lock_guard lock(mutex_);
    return std::all_of(vms_.begin(), vms_.end(), [](const VmHandle& vm) { return has_ended(*vm); });
}

void Host::wait_all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
        return std::all_of(vms_.begin(), vms_.end(), [](const VmHandle& vm) { return vm->finished(); });
    });
}

Expected<void> Host::set_pool_bytes(u64 bytes) {
    u64 most = pool_->reserved() * kPageSize - kPagesPerLarge * kPageSize;
    if (bytes > most)
        return make_error(ErrorCode::kInvalidArgument,
                          "the pool of this run can have at most {} MiB (twice what it started with)",
                          most >> 20);
    pool_->set_capacity(bytes / kPageSize);
    keeper_signal_->wake.signal();
    return {};
}

// --- what VMs tell ---

void Host::vm_started() {
    std::lock_guard lock(mutex_);
    if (!keeper_.joinable()) keeper_ = std::thread([this] { keeper_main(); });
    if (config_.icount) runner_.start();
}

void Host::vm_changed() {
    std::lock_guard lock(mutex_);
    services_.set_guest_time_passing(std::any_of(
        vms_.begin(), vms_.end(), [](const VmHandle& vm) { return vm->state() == VmState::kRunning; }));
    changed_.notify_all();
    keeper_signal_->wake.signal();
}

void Host::vm_finished() {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
    keeper_signal_->wake.signal();
}

bool Host::room_may_come(const VirtualMachine* without) const {
    if (config_.attended) return true;
    std::lock_guard lock(mutex_);
    // A guest that runs may end; one that has ended and is not buried yet still gives its pages.
    return std::any_of(vms_.begin(), vms_.end(), [without](const VmHandle& vm) {
        if (vm.get() == without) return false;
        if (has_ended(*vm)) return !vm->finished();
        return !vm->started() || (vm->state() != VmState::kPaused && !vm->blocked_by(BlockReason::kPoolFull));
    });
}

// --- the keeper ---

void Host::keeper_main() {
    name_thread("keeper");
    while (!stopping_) {
        for (auto& vm : vms())
            if (has_ended(*vm)) vm->finish();
        keeper_signal_->wake.wait_until(look_after_starved());
    }
}

/// When to look again if nobody says so: host_monotonic_ns().
u64 Host::look_after_starved() {
    std::vector<VmHandle> starved;
    for (auto& vm : vms())
        if (!has_ended(*vm) && vm->blocked_by(BlockReason::kPoolFull)) starved.push_back(vm);
    if (starved.empty()) return WakeEvent::kForever;
    if (pool_->available() > 0) {
        u64 again = WakeEvent::kForever;
        for (auto& vm : starved) {
            if (host_monotonic_ns() >= vm->ask_again_at())
                vm->unblock(BlockReason::kPoolFull);
            else
                again = std::min(again, vm->ask_again_at());
        }
        return again;
    }
    if (!room_may_come()) {
        // The youngest goes, so that the others can have its pages.
        starved.back()->end_for_want_of_pages();
    } else if (!keeper_signal_->room_asked.exchange(true)) {
        pool_->when_room([signal = keeper_signal_] {
            signal->room_asked = false;
            signal->wake.signal();
        });
    }
    return WakeEvent::kForever;
}

}  // namespace shadowbox
