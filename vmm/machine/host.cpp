// SPDX-License-Identifier: MIT
#include "vmm/machine/host.h"

#include <algorithm>
#include <random>

#include "core/host/host_time.h"
#include "core/log.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

Expected<std::unique_ptr<Host>> Host::create(HostConfig config, u64 guest_bytes) {
    std::unique_ptr<Host> host(new Host(std::move(config)));
    u64 bytes = host->config_.pool_bytes;
    if (bytes == 0) bytes = guest_bytes + (64ull << 20);
    // Room for aligned 2 MiB blocks of every guest, and device memory.
    u64 reserve = std::max(bytes, guest_bytes) + (256ull << 20) + (64ull << 20);
    auto pool = MachinePool::create(bytes / kPageSize, reserve / kPageSize);
    if (!pool) return wrap_error(pool.error(), "cannot make a pool of {} MiB", bytes >> 20);
    host->pool_ = std::move(*pool);
    if (host->config_.icount)
        host->entropy_ = host->config_.seed;
    else
        host->entropy_ = (static_cast<u64>(std::random_device{}()) << 32) | std::random_device{}();
    return host;
}

Host::~Host() {
    stopping_ = true;
    runner_wake_.signal();
    for (auto& vm : vms_) vm->stop();
    if (runner_.joinable()) runner_.join();
    for (std::thread& helper : helpers_) helper.join();
    vms_.clear();
}

Expected<VirtualMachine*> Host::add(MachineConfig config, CharBackends lines) {
    u64 limit = pool_->capacity() * kPageSize;
    if (config.memory_bytes > limit) {
        return make_error(
            ErrorCode::kInvalidArgument,
            "guest '{}' has {} MiB of memory, more than the pool's {} MiB: raise --pool or lower -m",
            config.name, config.memory_bytes >> 20, limit >> 20);
    }
    largest_code_cache_ = std::max(largest_code_cache_, config.code_cache_bytes);
    if (const u64 bytes = config_.code_cache_bytes ? config_.code_cache_bytes : largest_code_cache_)
        code_budget_.set_limit(bytes);
    auto vm = VirtualMachine::create(*this, VmId(vms_.size() + 1), std::move(config), std::move(lines));
    if (!vm) return tl::unexpected(vm.error());
    vms_.push_back(std::move(*vm));
    return vms_.back().get();
}

void Host::start_all() {
    for (auto& vm : vms_) vm->start();
    if (config_.icount) runner_ = std::thread([this] { runner_main(); });
}

void Host::runner_main() {
    name_thread("icount");
    while (!stopping_) {
        bool any_alive = false, any_busy = false;
        for (auto& vm : vms_) {
            if (vm->state() == VmState::kPaused) {
                any_alive = true;
                continue;
            }
            if (!vm->run_quantum()) continue;
            any_alive = true;
            any_busy |= vm->idle_until() != kNever;
        }
        if (!any_alive) return;
        if (!any_busy)
            runner_wake_.wait_until(host_monotonic_ns() + 100'000'000);  // only input can wake them
    }
}

bool Host::all_ended() {
    for (auto& vm : vms_)
        if (vm->state() == VmState::kRunning || vm->state() == VmState::kPaused) return false;
    return true;
}

void Host::vm_ended() {
    std::lock_guard lock(mutex_);
    ended_.notify_all();
}

void Host::wait_all() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return all_ended(); });
}

void Host::stop_all() {
    for (auto& vm : vms_) vm->stop();
}

void Host::pause_later(VirtualMachine& vm) {
    std::lock_guard lock(mutex_);
    helpers_.emplace_back([&vm] { vm.pause(); });
}

}  // namespace shadowbox
