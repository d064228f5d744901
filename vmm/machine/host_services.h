// SPDX-License-Identifier: MIT
// Work that comes back with a period: sampling, sharing, balloon targets, swap. Host owns one of these;
// memory policies (vmm/memory) add themselves to it.
//
//   clock    under -icount                                  under the host clock
//   kGuest   between two rounds, on the runner's thread,    a thread of its own; the period passes only
//            at an exact guest time: runs repeat            while some guest runs
//   kHost    a thread of its own, in the host's time        a thread of its own, in the host's time
//
// A thread of its own means that a slow service delays nobody. One that needs longer than its period skips
// what it missed. Services hold VmHandles, not pointers, and may pause, add and remove guests.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/host/thread.h"
#include "core/integers.h"
#include "vmm/machine/vm_clock.h"

namespace shadowbox {

enum class ServiceClock : u8 { kGuest, kHost };
enum class ServiceId : u64 {};

/// What a view shows of a service.
struct ServiceInfo {
    ServiceId id;
    std::string name;
    ServiceClock clock;
    u64 period_ns, runs, skipped;
};

class HostServices {
 public:
    /// Called with the time of the service's clock in nanoseconds.
    using Function = std::function<void(u64 now)>;

    /// `round_ns`: under icount the length of a round, of which periods in guest time are multiples (rounded
    /// up); guest time then comes by run_due() alone. 0: host clock.
    explicit HostServices(u64 round_ns) : round_ns_(round_ns) {}
    ~HostServices() { stop_all(); }

    /// First run one period from now.
    ServiceId add(std::string name, u64 period_ns, ServiceClock clock, Function function);
    /// Afterwards the function neither runs nor will. A service may stop itself; then this does not wait.
    void stop(ServiceId id);
    void stop_all();
    std::vector<ServiceInfo> list() const;

    // --- for Host ---
    /// Host clock: whether guest time passes, that is, whether any guest runs.
    void set_guest_time_passing(bool passing);
    /// Icount: guest time is `now`; runs what is due, in order of due time, then of age.
    void run_due(u64 now);
    /// Icount: when the next service is due; kNever: there is none.
    u64 next_due() const;

 private:
    struct Service {
        ServiceInfo info;
        Function function;
        u64 due = 0;
        bool stopping = false, running = false;
        std::thread::id runs_on;
        WakeEvent wake;
        std::thread thread;  // none for guest time under icount
    };
    bool has_thread(const Service& service) const {
        return !round_ns_ || service.info.clock == ServiceClock::kHost;
    }
    u64 now(ServiceClock clock) const;
    void main(Service& service);
    void run(Service& service, u64 now, std::unique_lock<std::mutex>& lock);

    const u64 round_ns_;
    mutable std::mutex mutex_;
    std::condition_variable finished_;                // a run has ended
    std::vector<std::shared_ptr<Service>> services_;  // guarded by mutex_, as all in them but `wake`
    std::vector<std::thread> own_stops_;              // threads of services that stopped themselves
    u64 last_id_ = 0, round_time_ = 0;
    HostVmClock guest_clock_;  // stands while no guest runs
    bool passing_ = false;
};

}  // namespace shadowbox
