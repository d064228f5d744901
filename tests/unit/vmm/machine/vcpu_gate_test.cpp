// SPDX-License-Identifier: MIT
#include "vmm/machine/vcpu_gate.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/vmm/bare_machine.h"

using namespace shadowbox;
using test::BareMachine;

TEST_CASE("vcpu gate: vCPUs go in and out while nobody holds it, and entering takes the stop request away") {
    BareMachine m(2);
    VcpuGate gate;
    gate.add(m.cpu(0)), gate.add(m.cpu(1));
    m.cpu(0).post_attention(SafepointParticipant::kAttentionStop);
    CHECK(gate.enter(m.cpu(0)));
    CHECK_FALSE(m.cpu(0).safepoint.attention.load() & SafepointParticipant::kAttentionStop);
    CHECK(gate.enter(m.cpu(1)));
    gate.leave(), gate.leave();
    gate.hold();
    CHECK(m.cpu(0).safepoint.attention.load() & SafepointParticipant::kAttentionStop);
    CHECK(m.cpu(1).safepoint.attention.load() & SafepointParticipant::kAttentionStop);
    gate.release();
    CHECK(gate.enter(m.cpu(0)));
    gate.leave();
}

TEST_CASE("vcpu gate: a holder is alone, however many threads go in and out and hold") {
    BareMachine m(3);
    VcpuGate gate;
    for (unsigned i = 0; i < 3; ++i) gate.add(m.cpu(i));
    std::atomic<int> inside{0};
    std::atomic<unsigned> wrong{0}, entered{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 3; ++i) {
        threads.emplace_back([&, i] {
            while (gate.enter(m.cpu(i))) {
                ++inside, ++entered;
                while (!(m.cpu(i).safepoint.attention.load() & SafepointParticipant::kAttentionStop))
                    std::this_thread::yield();
                --inside;
                gate.leave();
            }
        });
    }
    std::vector<std::thread> holders;
    for (unsigned i = 0; i < 2; ++i) {
        holders.emplace_back([&] {
            for (unsigned round = 0; round < 100; ++round) {
                gate.hold();
                wrong += inside != 0;
                gate.hold();  // nests
                gate.release();
                wrong += inside != 0;
                gate.release();
            }
        });
    }
    for (std::thread& holder : holders) holder.join();
    while (entered == 0) std::this_thread::yield();
    gate.end();
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK_FALSE(gate.enter(m.cpu(0)));
}

TEST_CASE("vcpu gate: the end lets those who wait at a closed gate return") {
    BareMachine m(1);
    VcpuGate gate;
    gate.add(m.cpu(0));
    gate.hold();
    std::atomic<int> result{-1};
    std::thread waiting([&] { result = gate.enter(m.cpu(0)); });
    gate.end();
    waiting.join();
    CHECK(result == 0);
}
