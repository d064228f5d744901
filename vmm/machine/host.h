// SPDX-License-Identifier: MIT
// All guests of one process on one pool of machine pages. Owner of the pool, the pager and, under icount, the
// runner thread that drives every VM in fixed round-robin quanta.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/host/thread.h"
#include "cpu/blocks/code_budget.h"
#include "mmu/machine_pool.h"
#include "mmu/zero_fill_pager.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

class VirtualMachine;

class Host {
 public:
    /// `guest_bytes`: sum of the guests' memories, for the default size of the pool.
    static Expected<std::unique_ptr<Host>> create(HostConfig config, u64 guest_bytes);
    ~Host();

    /// Builds a VM; it starts with start_all().
    Expected<VirtualMachine*> add(MachineConfig config, CharBackends lines);
    void start_all();
    /// Waits until every VM has ended.
    void wait_all();
    void stop_all();
    bool all_ended();

    const HostConfig& config() const { return config_; }
    MachinePool& pool() { return *pool_; }
    Pager& pager() { return pager_; }
    CodeBudget& code_budget() { return code_budget_; }
    const std::vector<std::unique_ptr<VirtualMachine>>& vms() const { return vms_; }
    /// Base for guest-visible randomness: the seed under icount, the host's entropy otherwise.
    u64 entropy() const { return entropy_; }

    // --- called by VMs ---
    void vm_ended();
    void wake_runner() { runner_wake_.signal(); }
    /// Pauses a VM from one of its own threads, which may not wait for itself.
    void pause_later(VirtualMachine& vm);

 private:
    explicit Host(HostConfig config) : config_(std::move(config)) {}
    void runner_main();

    HostConfig config_;
    u64 entropy_ = 0;
    std::unique_ptr<MachinePool> pool_;
    ZeroFillPager pager_;
    CodeBudget code_budget_;
    u64 largest_code_cache_ = 0;
    std::vector<std::unique_ptr<VirtualMachine>> vms_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::thread runner_;
    std::vector<std::thread> helpers_;
    WakeEvent runner_wake_;
    std::atomic<bool> stopping_{false};
};

}  // namespace shadowbox
