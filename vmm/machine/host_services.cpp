// SPDX-License-Identifier: MIT
#include "vmm/machine/host_services.h"

#include <algorithm>

#include "core/host/host_time.h"

namespace shadowbox {

u64 HostServices::now(ServiceClock clock) const {
    if (clock == ServiceClock::kHost) return host_monotonic_ns();
    return round_ns_ ? round_time_ : guest_clock_.now();
}

ServiceId HostServices::add(std::string name, u64 period_ns, ServiceClock clock, Function function) {
    std::lock_guard lock(mutex_);
    auto service = std::make_shared<Service>();
    ServiceId id{++last_id_};
    u64 period = std::max<u64>(period_ns, 1);
    if (round_ns_ && clock == ServiceClock::kGuest) period = (period + round_ns_ - 1) / round_ns_ * round_ns_;
    service->info = {id, std::move(name), clock, period, 0, 0};
    service->function = std::move(function);
    service->due = now(clock) + period;
    services_.push_back(service);
    if (has_thread(*service)) service->thread = std::thread([this, service] { main(*service); });
    return id;
}

void HostServices::stop(ServiceId id) {
    std::unique_lock lock(mutex_);
    auto found = std::find_if(services_.begin(), services_.end(),
                              [id](const auto& service) { return service->info.id == id; });
    if (found == services_.end()) return;
    std::shared_ptr<Service> service = *found;
    services_.erase(found);
    service->stopping = true;
    service->wake.signal();
    const bool itself = service->running && service->runs_on == std::this_thread::get_id();
    if (itself) {
        if (service->thread.joinable()) own_stops_.push_back(std::move(service->thread));
        return;
    }
    finished_.wait(lock, [&] { return !service->running; });
    std::thread thread = std::move(service->thread);
    lock.unlock();
    if (thread.joinable()) thread.join();
}

void HostServices::stop_all() {
    for (const ServiceInfo& info : list()) stop(info.id);
    std::vector<std::thread> threads;
    {
        std::lock_guard lock(mutex_);
        threads.swap(own_stops_);
    }
    for (std::thread& thread : threads) thread.join();
}

std::vector<ServiceInfo> HostServices::list() const {
    std::lock_guard lock(mutex_);
    std::vector<ServiceInfo> all;
    for (const auto& service : services_) all.push_back(service->info);
    return all;
}

void HostServices::set_guest_time_passing(bool passing) {
    std::lock_guard lock(mutex_);
    if (round_ns_ || passing == passing_) return;
    passing_ = passing;
    passing ? guest_clock_.resume() : guest_clock_.pause();
    for (auto& service : services_) service->wake.signal();
}

/// The mutex is held, but not while the function runs.
void HostServices::run(Service& service, u64 now, std::unique_lock<std::mutex>& lock) {
    service.running = true;
    service.runs_on = std::this_thread::get_id();
    lock.unlock();
    service.function(now);
    lock.lock();
    service.running = false;
    finished_.notify_all();
    ++service.info.runs;
    service.due += service.info.period_ns;
}

void HostServices::main(Service& service) {
    name_thread(service.info.name.c_str());
    std::unique_lock lock(mutex_);
    while (!service.stopping) {
        const bool stands = service.info.clock == ServiceClock::kGuest && !passing_;
        u64 time = now(service.info.clock);
        if (stands || time < service.due) {
            u64 until = stands ? WakeEvent::kForever : host_monotonic_ns() + (service.due - time);
            lock.unlock();
            service.wake.wait_until(until);
            lock.lock();
            continue;
        }
        run(service, time, lock);
        time = now(service.info.clock);
        if (service.due < time) {
            u64 missed = (time - service.due) / service.info.period_ns;
            service.info.skipped += missed;
            service.due += missed * service.info.period_ns;
        }
    }
}

void HostServices::run_due(u64 now) {
    std::unique_lock lock(mutex_);
    round_time_ = now;
    for (;;) {
        std::shared_ptr<Service> next;
        for (auto& service : services_) {
            if (has_thread(*service) || service->due > now) continue;
            if (!next || service->due < next->due) next = service;
        }
        if (!next) return;
        run(*next, now, lock);
    }
}

u64 HostServices::next_due() const {
    std::lock_guard lock(mutex_);
    u64 next = kNever;
    for (auto& service : services_)
        if (!has_thread(*service)) next = std::min(next, service->due);
    return next;
}

}  // namespace shadowbox
