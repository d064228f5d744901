// SPDX-License-Identifier: MIT
// Inline caches of indirect jumps and calls: a hit needs no look-up, a new target is found, a site with many
// targets gives up, and a target whose code dies is looked up again. What is computed is always the
// interpreter's.
#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kLoop = 0xB000, kTargets = 0xA000, kTable = SimdMachine::kData;
constexpr unsigned kTargetBytes = 64, kTargetCount = 8;

/// rcx rounds; round n goes to the target that table entry (n & rsi) names. `call`: by CALL, else by JMP and
/// back.
struct Dispatcher : SimdMachine {
    Dispatcher(bool translate, bool call, bool from_memory) {
        budget = 100'000'000;
        if (translate) REQUIRE(cpu->enable_jit(1));
        std::vector<u8> code{0x48, 0x89, 0xC8, 0x48, 0x21, 0xF0};  // mov rax, rcx; and rax, rsi
        const u8 reg = call ? 0xD0 : 0xE0, mem = call ? 0x14 : 0x24;
        auto add = [&](std::initializer_list<u8> list) { code.insert(code.end(), list); };
        if (from_memory)
            add({0xFF, mem, 0xC3});  // call|jmp [rbx + rax * 8]
        else
            add({0x48, 0x8B, 0x04, 0xC3, 0xFF, reg});  // mov rax, [rbx + rax * 8]; call|jmp rax
        back = kLoop + code.size();
        add({0x48, 0xFF, 0xC9, 0x75, static_cast<u8>(-static_cast<int>(code.size() + 5)),
             0xF4});  // dec rcx; jnz loop; hlt
        memory.write(Gpa(kLoop), code);
        for (unsigned i = 0; i < kTargetCount; ++i) put_target(i, static_cast<u8>(i + 3), call);
    }

    /// imul rdx, rdx, factor; add rdx, i; and the way back.
    void put_target(unsigned i, u8 factor, bool call) {
        std::vector<u8> code{
            0x48, 0x6B, 0xD2, factor, 0x48, 0x83, 0xC2, static_cast<u8>(i), call ? u8{0xC3} : u8{0xE9}};
        const u64 at = kTargets + i * kTargetBytes;
        const i32 distance = static_cast<i32>(back - (at + 13));
        for (unsigned n = 0; n < 4 && !call; ++n) code.push_back(static_cast<u8>(distance >> 8 * n));
        memory.write(Gpa(at), code);
        cpu->blocks->invalidate(Gpa(at).ppn(), static_cast<u32>(at & kPageOffsetMask),
                                static_cast<u32>(code.size()));
    }

    void aim(unsigned entry, unsigned target) { put(kTable + entry * 8, kTargets + target * kTargetBytes); }

    u64 go(u64 rounds, u64 mask) {
        cpu->rip = kLoop;
        cpu->gpr[kRsp] = kStack;
        cpu->gpr[kRbx] = kTable;
        cpu->gpr[kRcx] = rounds;
        cpu->gpr[kRsi] = mask;
        run_to_halt();
        CHECK(cpu->gpr[kRsp] == kStack);
        return cpu->gpr[kRdx];
    }
    u64 asked() const { return cpu->jit->counters().exits[static_cast<unsigned>(jit::ExitKind::kCache)]; }
    u64 back = 0;
};

struct Pair {
    Pair(bool call, bool from_memory)
        : interpreted(false, call, from_memory), translated(true, call, from_memory) {}
    void both(const std::function<void(Dispatcher&)>& change) { change(interpreted), change(translated); }
    void go(u64 rounds, u64 mask) { REQUIRE(translated.go(rounds, mask) == interpreted.go(rounds, mask)); }
    Dispatcher interpreted, translated;
};

}  // namespace

TEST_CASE(
    "inline cache: one target is looked up once, a new one found, many given up, and each result is right") {
    for (bool call : {false, true}) {
        for (bool from_memory : {false, true}) {
            INFO((call ? "call " : "jmp ") << (from_memory ? "by memory" : "by register"));
            Pair pair(call, from_memory);
            pair.both([](Dispatcher& d) {
                for (unsigned i = 0; i < kTargetCount; ++i) d.aim(i, i);
            });
            pair.go(5000, 0);
            CHECK(pair.translated.cpu->jit->counters().caches_aimed >= 1);
            const u64 asked = pair.translated.asked();
            CHECK(asked < 8);
            pair.go(5000, 0);
            CHECK(pair.translated.asked() <= asked + 2);  // by a second translation of the loop
            pair.both([](Dispatcher& d) { d.aim(0, 5); });
            pair.go(5000, 0);
            for (u64 mask : {1, 3, 7}) pair.go(20000, mask);
            CHECK(pair.translated.asked() < asked + 400);  // not for every miss of 60000
        }
    }
}

TEST_CASE("inline cache: a target whose code changed runs as it is now") {
    for (bool call : {false, true}) {
        Pair pair(call, false);
        pair.both([](Dispatcher& d) { d.aim(0, 2); });
        for (u8 factor = 5; factor < 25; ++factor) {
            pair.go(100, 0);
            pair.both([&](Dispatcher& d) { d.put_target(2, factor, call); });
        }
        pair.go(100, 0);
    }
}

TEST_CASE("inline cache: a target that is not canonical faults at the jump, as in the interpreter") {
    for (bool call : {false, true}) {
        Pair pair(call, false);
        pair.both([](Dispatcher& d) { d.aim(0, 1); });
        pair.go(100, 0);
        for (u64 target : {u64{0}, u64{1} << 63, ~u64{0}}) {
            pair.both([&](Dispatcher& d) { d.put(kTable, target ? target : u64{0x8000'0000'0000}); });
            for (Dispatcher* d : {&pair.interpreted, &pair.translated}) {
                d->cpu->rip = kLoop;
                d->cpu->gpr[kRsp] = SimdMachine::kStack;
                d->cpu->gpr[kRcx] = 5;
                d->run_to_halt();
            }
            CHECK(pair.translated.cpu->rip ==
                  pair.interpreted.cpu->rip);  // in the handler of #GP or, for -1, #PF
            CHECK(pair.translated.cpu->gpr[kRsp] == pair.interpreted.cpu->gpr[kRsp]);
            u64 pushed[2] = {};
            for (auto [d, to] : {std::pair{&pair.interpreted, &pushed[0]}, {&pair.translated, &pushed[1]}}) {
                d->memory.read(Gpa(d->cpu->gpr[kRsp] + 8),
                               std::span(reinterpret_cast<u8*>(to), 8));  // RIP, behind the error code
            }
            CHECK(pushed[0] == pushed[1]);
        }
    }
}
