// SPDX-License-Identifier: MIT
#include "vmm/network/slirp_net.h"

#include <arpa/inet.h>
#include <slirp/libslirp.h>

#include <atomic>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "core/host/host_time.h"
#include "core/host/poll_set.h"
#include "core/host/thread.h"
#include "core/log.h"

namespace shadowbox {

struct SlirpNet::Impl {
    struct NetTimer {
        SlirpTimerCb run;
        void* opaque;
        i64 deadline_ms = -1;
    };

    Journal& journal;
    unsigned source = 0;
    std::mutex mutex;  // everything of libslirp
    Slirp* slirp = nullptr;
    std::list<NetTimer> timers;  // guarded by mutex
    PollSet polls;
    std::atomic<bool> ending{false};
    std::thread thread;

    explicit Impl(Journal& journal) : journal(journal) {}
    void main();
    int shortest_wait(int milliseconds);
    void run_timers();
};

namespace {

i64 now_ms() { return static_cast<i64>(host_monotonic_ns() / 1'000'000); }
in_addr address(const char* text) {
    in_addr result{};
    inet_pton(AF_INET, text, &result);
    return result;
}

}  // namespace

SlirpNet::SlirpNet(Journal& journal) : impl_(std::make_unique<Impl>(journal)) {}

void SlirpNet::Impl::run_timers() {
    for (NetTimer& timer : timers) {
        if (timer.deadline_ms < 0 || timer.deadline_ms > now_ms()) continue;
        timer.deadline_ms = -1;
        timer.run(timer.opaque);
    }
}

int SlirpNet::Impl::shortest_wait(int milliseconds) {
    i64 wait = milliseconds;
    for (const NetTimer& timer : timers) {
        if (timer.deadline_ms < 0) continue;
        i64 left = std::max<i64>(0, timer.deadline_ms - now_ms());
        wait = wait < 0 ? left : std::min(wait, left);
    }
    return static_cast<int>(wait);
}

void SlirpNet::Impl::main() {
    name_thread("slirp");
    while (!ending) {
        u32 timeout = ~0u;
        int wait;
        {
            std::lock_guard lock(mutex);
            polls.clear();
            slirp_pollfds_fill(
                slirp, &timeout,
                [](int fd, int events, void* opaque) {
                    unsigned wanted = (events & SLIRP_POLL_IN ? PollSet::kRead : 0u) |
                                      (events & SLIRP_POLL_OUT ? PollSet::kWrite : 0u) |
                                      (events & SLIRP_POLL_PRI ? PollSet::kUrgent : 0u);
                    return static_cast<Impl*>(opaque)->polls.add(fd, wanted);
                },
                this);
            wait = shortest_wait(timeout == ~0u ? -1 : static_cast<int>(timeout));
        }
        polls.wait(wait);
        std::lock_guard lock(mutex);
        slirp_pollfds_poll(
            slirp, 0,
            [](int index, void* opaque) {
                unsigned seen = static_cast<Impl*>(opaque)->polls.events(index);
                return (seen & PollSet::kRead ? SLIRP_POLL_IN : 0) |
                       (seen & PollSet::kWrite ? SLIRP_POLL_OUT : 0) |
                       (seen & PollSet::kUrgent ? SLIRP_POLL_PRI : 0) |
                       (seen & PollSet::kError ? SLIRP_POLL_ERR : 0) |
                       (seen & PollSet::kHangup ? SLIRP_POLL_HUP : 0);
            },
            this);
        run_timers();
    }
}

Expected<std::unique_ptr<SlirpNet>> SlirpNet::create(const NicConfig& config, Journal& journal,
                                                     const std::string& host_name) {
    std::unique_ptr<SlirpNet> net(new SlirpNet(journal));
    auto* impl = net->impl_.get();
    using State = SlirpNet::Impl;
    impl->source = journal.add_source("net", [net = net.get()](std::span<const u8> frame) {
        if (net->receive_) net->receive_(frame);
    });

    static const SlirpCb callbacks = [] {
        SlirpCb cb{};
        cb.send_packet = [](const void* bytes, size_t size, void* opaque) -> ssize_t {
            auto* state = static_cast<State*>(opaque);
            const u8* first = static_cast<const u8*>(bytes);
            state->journal.post(state->source, std::vector<u8>(first, first + size));
            return static_cast<ssize_t>(size);
        };
        cb.guest_error = [](const char* text, void*) { guest_oddity("network", text); };
        cb.clock_get_ns = [](void*) { return static_cast<i64>(host_monotonic_ns()); };
        cb.timer_new = [](SlirpTimerCb run, void* argument, void* opaque) -> void* {
            auto* state = static_cast<State*>(opaque);
            state->timers.push_back({run, argument});
            return &state->timers.back();
        };
        cb.timer_free = [](void* timer, void* opaque) {
            static_cast<State*>(opaque)->timers.remove_if([timer](const auto& t) { return &t == timer; });
        };
        cb.timer_mod = [](void* timer, i64 deadline, void* opaque) {
            static_cast<State::NetTimer*>(timer)->deadline_ms = deadline;
            static_cast<State*>(opaque)->polls.interrupt();
        };
        cb.register_poll_fd = [](int, void*) {};
        cb.unregister_poll_fd = [](int, void*) {};
        cb.notify = [](void* opaque) { static_cast<State*>(opaque)->polls.interrupt(); };
        return cb;
    }();
    SlirpConfig slirp{};
    slirp.version = 1;
    slirp.in_enabled = true;
    slirp.vnetwork = address("10.0.2.0");
    slirp.vnetmask = address("255.255.255.0");
    slirp.vhost = address("10.0.2.2");
    slirp.vdhcp_start = address("10.0.2.15");
    slirp.vnameserver = address("10.0.2.3");
    slirp.vhostname = host_name.c_str();
    impl->slirp = slirp_new(&slirp, &callbacks, impl);
    if (!impl->slirp) return make_error(ErrorCode::kIo, "user-mode networking could not start");
    for (const ForwardConfig& forward : config.forwards) {
        in_addr host = address(forward.host_address.empty() ? "0.0.0.0" : forward.host_address.c_str());
        in_addr guest = address(forward.guest_address.empty() ? "10.0.2.15" : forward.guest_address.c_str());
        if (slirp_add_hostfwd(impl->slirp, forward.udp, host, forward.host_port, guest, forward.guest_port) !=
            0) {
            return make_error(ErrorCode::kDenied, "cannot forward {} port {}: {}",
                              forward.udp ? "UDP" : "TCP", forward.host_port, errno_text(errno));
        }
    }
    impl->thread = std::thread([impl] { impl->main(); });
    return net;
}

SlirpNet::~SlirpNet() {
    impl_->ending = true;
    impl_->polls.interrupt();
    if (impl_->thread.joinable()) impl_->thread.join();
    if (impl_->slirp) slirp_cleanup(impl_->slirp);
}

void SlirpNet::send(std::span<const u8> frame) {
    std::lock_guard lock(impl_->mutex);
    slirp_input(impl_->slirp, frame.data(), static_cast<int>(frame.size()));
    impl_->polls.interrupt();
}

}  // namespace shadowbox
