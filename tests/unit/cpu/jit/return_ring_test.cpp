// SPDX-License-Identifier: MIT
// Returns by the ring of call sites: deeper than the ring, to an address that was changed on the stack, past
// frames that were given up, and to code that changed meanwhile. What is computed is always the
// interpreter's.
#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kMain = 0xB000, kWalk = 0xC000;

struct Caller : SimdMachine {
    explicit Caller(bool translate, bool small = false) {
        budget = 100'000'000;
        if (translate) REQUIRE(cpu->enable_jit(1, small ? jit::Jit::kMinBytes : 0));
        // walk: imul rdx, rdx, 3; dec rcx; jz out; call walk; out: inc rdx; ret
        put_code(kWalk, {0x48, 0x6B, 0xD2, 0x03, 0x48, 0xFF, 0xC9, 0x74, 0x05, 0xE8, 0xF2, 0xFF, 0xFF, 0xFF,
                         0x48, 0xFF, 0xC2, 0xC3});
    }
    void put_code(u64 at, const std::vector<u8>& code) {
        memory.write(Gpa(at), code);
        cpu->blocks->invalidate(Gpa(at).ppn(), static_cast<u32>(at & kPageOffsetMask),
                                static_cast<u32>(code.size()));
    }
    /// RSI rounds of `body`; RDI is the depth that it may use.
    void loop(const std::vector<u8>& body) {
        std::vector<u8> code = body;
        const u8 back = static_cast<u8>(-static_cast<int>(code.size() + 5));
        code.insert(code.end(), {0x48, 0xFF, 0xCE, 0x75, back, 0xF4});  // dec rsi; jnz; hlt
        put_code(kMain, code);
    }
    u64 go(u64 rounds, u64 depth) {
        cpu->rip = kMain;
        cpu->gpr[kRsp] = kStack;
        cpu->gpr[kRsi] = rounds;
        cpu->gpr[kRdi] = depth;
        run_to_halt();
        CHECK(cpu->gpr[kRsp] == kStack);
        return cpu->gpr[kRdx];
    }
};

/// mov rcx, rdi; call walk (from kMain).
const std::vector<u8> kCallWalk{0x48, 0x89, 0xF9, 0xE8, 0xF8, 0x0F, 0x00, 0x00};

}  // namespace

TEST_CASE("return ring: recursion deeper than the ring comes back through every frame") {
    Caller interpreted(false), translated(true);
    for (Caller* c : {&interpreted, &translated}) c->loop(kCallWalk);
    for (u64 depth : {1, 2, 31, 32, 33, 64, 200})
        REQUIRE(translated.go(50, depth) == interpreted.go(50, depth));
}

TEST_CASE("return ring: emitted code counts its hits if asked to, and computes the same") {
    Caller interpreted(false), translated(true), silent(true);
    translated.cpu->jit->count_hits();
    for (Caller* c : {&interpreted, &translated, &silent}) c->loop(kCallWalk);
    const u64 result = interpreted.go(100, 20);
    CHECK(translated.go(100, 20) == result);
    CHECK(silent.go(100, 20) == result);
    const jit::HitCount& returns = translated.cpu->jit->hits(jit::HitKind::kReturns);
    CHECK(returns.tried > 1800);
    CHECK(returns.tried <= 2000);
    CHECK(returns.missed < 40);
    CHECK(translated.cpu->jit->hits(jit::HitKind::kSlots).tried > 1800);  // the stack's page
    CHECK(translated.cpu->jit->hits(jit::HitKind::kSlots).missed < 10);
    CHECK(silent.cpu->jit->hits(jit::HitKind::kReturns).tried == 0);
}

TEST_CASE("return ring: a return address changed on the stack is where RET goes") {
    // call next; (back:) inc rdx; jmp end; next: lea rax, [rip + other]; mov [rsp], rax; ret; other: imul
    // rdx, rdx, 5; end:
    const std::vector<u8> body{0xE8, 0x05, 0, 0, 0,    0x48, 0xFF, 0xC2, 0xEB, 0x10, 0x48, 0x8D, 0x05,
                               0x05, 0,    0, 0, 0x48, 0x89, 0x04, 0x24, 0xC3, 0x48, 0x6B, 0xD2, 0x05};
    Caller interpreted(false), translated(true);
    for (Caller* c : {&interpreted, &translated}) {
        c->loop(body);
        c->cpu->gpr[kRdx] = 7;
    }
    REQUIRE(translated.go(1000, 0) == interpreted.go(1000, 0));
}

TEST_CASE("return ring: frames that are given up do not lead astray") {
    // walk as before, but whoever reaches the end takes RSP back to the loop's own (r8): like longjmp
    std::vector<u8> body{0x49, 0x89, 0xE0};  // mov r8, rsp
    body.insert(body.end(), {0x48, 0x89, 0xF9, 0xE8, 0xF5, 0x0F, 0x00, 0x00, 0x48, 0x83, 0xC2,
                             0x02});  // mov rcx, rdi; call walk; add rdx, 2
    Caller interpreted(false), translated(true);
    for (Caller* c : {&interpreted, &translated}) {
        // imul rdx, rdx, 3; dec rcx; jz out; call walk; inc rdx; ret; out: lea rsp, [r8 - 8]; ret
        c->put_code(kWalk, {0x48, 0x6B, 0xD2, 0x03, 0x48, 0xFF, 0xC9, 0x74, 0x09, 0xE8, 0xF2, 0xFF,
                            0xFF, 0xFF, 0x48, 0xFF, 0xC2, 0xC3, 0x49, 0x8D, 0x60, 0xF8, 0xC3});
        c->loop(body);
    }
    for (u64 depth : {1, 5, 40, 100}) REQUIRE(translated.go(100, depth) == interpreted.go(100, depth));
}

TEST_CASE("return ring: code behind a call that changes while the call runs") {
    Caller interpreted(false), translated(true);
    for (u8 add = 1; add < 40; ++add) {
        for (Caller* c : {&interpreted, &translated}) {
            std::vector<u8> body = kCallWalk;
            body.insert(body.end(), {0x48, 0x83, 0xC2, add});
            c->loop(body);
        }
        REQUIRE(translated.go(20, 6) == interpreted.go(20, 6));
    }
}

TEST_CASE("return ring: an evicted region's call sites are forgotten") {
    Caller interpreted(false), translated(true, true);
    for (Caller* c : {&interpreted, &translated}) c->loop(kCallWalk);
    REQUIRE(translated.go(50, 20) == interpreted.go(50, 20));
    translated.cpu->jit->flush();
    for (unsigned i = 0; i < kReturnRing; ++i)
        CHECK(translated.cpu->mmu.context()->return_ring[i] == &kNoReturnSite);
}
