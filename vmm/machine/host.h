// SPDX-License-Identifier: MIT
// All guests of one process on one pool of machine pages: who there is, what they share (pool, pager,
// services), and what happens when one ends or finds the pool exhausted. Guests come and go while others run.
//
// Lifetimes: a VM is held by VmHandles. The registry has one until remove(); a view, a remap batch or a
// monitor that has another one keeps the object, but not its machine pages: those are back in the pool soon
// after the VM ended, and its name, exit status and reason stay visible. Handles may outlive the Host.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/host/thread.h"
#include "cpu/blocks/code_budget.h"
#include "mmu/machine_pool.h"
#include "mmu/pager.h"
#include "vmm/config/machine_config.h"
#include "vmm/machine/host_services.h"
#include "vmm/machine/icount_runner.h"

namespace shadowbox {

class VirtualMachine;
using VmHandle = std::shared_ptr<VirtualMachine>;

/// The pool of a host that says nothing else: what the guests have and their devices need, at most four
/// fifths of the host's memory.
u64 default_pool_bytes(u64 guest_bytes);

class Host {
 public:
    /// Exit status of a guest that found no machine page when nobody could give room.
    static constexpr int kOutOfPagesStatus = 4;

    /// `guest_bytes`: sum of the guests' memories, for the default size of the pool. Without a `pager` there
    /// are no memory policies (ZeroFillPager).
    static Expected<std::unique_ptr<Host>> create(HostConfig config, u64 guest_bytes,
                                                  std::shared_ptr<Pager> pager = nullptr);
    ~Host();

    // --- registry; any thread but a VM's own ---
    /// Builds a VM; it starts with start_all() or its start().
    Expected<VmHandle> add(MachineConfig config, CharBackends lines);
    /// Stops the VM if it runs, and forgets it.
    void remove(const VmHandle& vm);
    /// In order of age.
    std::vector<VmHandle> vms() const;
    /// nullptr if it was removed. Numbers are not used again.
    VmHandle find(VmId id) const;

    /// Starts those that have not been started.
    void start_all();
    /// Waits until every VM has ended and its pages are back.
    void wait_all();
    void stop_all();
    bool all_ended() const;

    // --- what they share ---
    const HostConfig& config() const { return config_; }
    MachinePool& pool() { return *pool_; }
    Pager& pager() { return *pager_; }
    HostServices& services() { return services_; }
    const HostServices& services() const { return services_; }
    CodeBudget& code_budget() { return code_budget_; }
    /// Base for guest-visible randomness: the seed under icount, the host's entropy otherwise.
    u64 entropy() const { return entropy_; }
    /// Another cap for the pool, also below what is in use: then nobody gets a page until less is.
    Expected<void> set_pool_bytes(u64 bytes);

    // --- called by VMs ---
    std::shared_ptr<MachinePool> shared_pool() const { return pool_; }
    std::shared_ptr<Pager> shared_pager() const { return pager_; }
    void vm_started();
    /// A VM's state() is another one.
    void vm_changed();
    /// An ended VM's pages are back in the pool.
    void vm_finished();
    /// Whether anybody can give room to a guest that found none: a monitor, or a guest that runs, not
    /// counting `without`.
    bool room_may_come(const VirtualMachine* without = nullptr) const;
    void wake_runner() { runner_.wake(); }

 private:
    explicit Host(const HostConfig& config)
        : config_(config), services_(config_.icount ? IcountRunner::kRound : 0), runner_(*this) {}
    void keeper_main();
    u64 look_after_starved();

    const HostConfig config_;
    u64 entropy_ = 0;
    std::shared_ptr<MachinePool> pool_;
    std::shared_ptr<Pager> pager_;
    CodeBudget code_budget_;      // before the VMs that are its members
    u64 largest_code_cache_ = 0;  // guarded by mutex_
    mutable std::mutex mutex_;
    std::condition_variable changed_;  // a VM ended, finished or is gone
    std::vector<VmHandle> vms_;        // guarded by mutex_
    u64 last_id_ = 0;                  // guarded by mutex_
    HostServices services_;
    IcountRunner runner_;
    /// Buries ended VMs, and sees to those that wait for room.
    std::thread keeper_;
    /// Shared with the pool, which may outlive the Host.
    struct KeeperSignal {
        WakeEvent wake;
        std::atomic<bool> room_asked{false};  // the pool will tell of room
    };
    std::shared_ptr<KeeperSignal> keeper_signal_ = std::make_shared<KeeperSignal>();
    std::atomic<bool> stopping_{false};
};

}  // namespace shadowbox
