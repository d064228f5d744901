// SPDX-License-Identifier: MIT
// The cache of blocks and host code by regions: programs much larger than it compute the same, and what is
// not in the evicted region stays. (The asm guests and host_compare --small-cache run everything else with
// the smallest cache.)
#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kChain = 0x100000, kHot = 0x8000;
constexpr unsigned kLink = 48, kLinks = 6000;

struct CacheMachine : SimdMachine {
    explicit CacheMachine(bool translate, bool small, bool exact = false) {
        cpu->exact_time = exact;
        budget = 100'000'000;
        if (small) cpu->blocks->resize(64 << 10);
        if (translate) REQUIRE(cpu->enable_jit(1, small ? jit::Jit::kMinBytes : 0));
        std::vector<u8> code(kLink * kLinks, 0xCC);
        for (unsigned i = 0; i < kLinks; ++i) put_link(code, i);
        memory.write(Gpa(kChain), code);
        // hot: lea rdx, [rdx + rdx * 2 + 1]; mov [8100H], rdx; mov r8, [8100H]; ret
        memory.write(Gpa(kHot),
                     std::vector<u8>{0x48, 0x8D, 0x54, 0x52, 0x01, 0x48, 0x89, 0x14, 0x25, 0x00, 0x81,
                                     0x00, 0x00, 0x4C, 0x8B, 0x04, 0x25, 0x00, 0x81, 0x00, 0x00, 0xC3});
    }

    /// Link i: add rax, i; rol rax, 7; xor rbx, rax; every 16th: call hot; dec rcx; jz stop; jmp to the next
    /// one.
    static void put_link(std::vector<u8>& code, unsigned i) {
        u8* at = &code[i * kLink];
        auto bytes = [&](std::initializer_list<u8> list) { at = std::copy(list.begin(), list.end(), at); };
        auto rel32 = [&](u64 target) {
            const i32 distance = static_cast<i32>(target - (kChain + static_cast<u64>(at - code.data()) + 4));
            memcpy(at, &distance, 4), at += 4;
        };
        bytes({0x48, 0x81, 0xC0, static_cast<u8>(i), static_cast<u8>(i >> 8), 0, 0, 0x48, 0xC1, 0xC0, 7, 0x48,
               0x31, 0xC3});
        if (i % 16 == 0) {
            bytes({0xE8});
            rel32(kHot);
        }
        bytes({0x48, 0xFF, 0xC9, 0x75, 0x01, 0xF4, 0xE9});  // dec rcx; jnz over; hlt; over: jmp
        rel32(kChain + (i + 1) % kLinks * kLink);
    }

    void go(u64 rip, u64 count) {
        cpu->rip = rip;
        cpu->gpr[kRsp] = kStack;
        cpu->gpr[kRcx] = count;
        run_to_halt();
    }
    std::string state() {
        std::string text =
            fmt::format("rip {:x} flags {:x} memory {:x}", cpu->rip, cpu->rflags(), memory.content_hash());
        for (unsigned i = 0; i < 16; ++i) text += fmt::format(" {:x}", cpu->gpr[i]);
        return cpu->exact_time ? text + fmt::format(" retired {}", cpu->retired)
                               : text;  // else translated code does not count
    }
};

}  // namespace

TEST_CASE("code cache: a program larger than the cache computes the same, interpreted and translated") {
    constexpr u64 kCount = 3 * kLinks + 77;
    for (bool exact : {false, true}) {
        CacheMachine reference(false, false, exact);
        reference.go(kChain, kCount);
        CHECK(reference.cpu->blocks->evictions() == 0);
        for (bool translate : {false, true}) {
            INFO((translate ? "translated" : "interpreted") << (exact ? ", counted exactly" : ""));
            CacheMachine machine(translate, true, exact);
            machine.go(kChain, kCount);
            CHECK(machine.cpu->blocks->evictions() > 16);
            CHECK(machine.cpu->blocks->bytes_used() <= 64 << 10);
            CHECK(machine.state() == reference.state());
        }
    }
}

TEST_CASE("code cache: host code larger than its memory is evicted by region, the blocks stay") {
    CacheMachine machine(true, false), reference(false, false);
    machine.cpu->jit.reset();
    REQUIRE(machine.cpu->enable_jit(1, jit::Jit::kMinBytes));
    for (unsigned pass = 0; pass < 3; ++pass) {
        machine.go(kChain, kLinks);
        reference.go(kChain, kLinks);
        CHECK(machine.state() == reference.state());
    }
    CHECK(machine.cpu->jit->counters().evictions > 8);
    CHECK(machine.cpu->jit->bytes_used() <= jit::Jit::kMinBytes);
    CHECK(machine.cpu->blocks->evictions() == 0);
    CHECK(machine.cpu->counters.blocks_decoded == reference.cpu->counters.blocks_decoded);
}

TEST_CASE("code cache: an eviction takes the oldest region and nothing else") {
    CacheMachine machine(true, true);
    Vcpu& cpu = *machine.cpu;
    BlockCache& blocks = *cpu.blocks;
    unsigned at = 1;  // no link that calls `hot`
    auto next_link = [&] {
        if (at % 16 == 0) ++at;
        machine.go(kChain + at++ * kLink, 1);
    };
    machine.go(kChain + 1 * kLink, 1);
    const Block* oldest = blocks.known(cpu, kChain + 1 * kLink);
    REQUIRE(oldest);
    CHECK(blocks.region_of(oldest) == 0);
    while (blocks.bytes_used() < 12 << 10) next_link();  // into the second region
    for (unsigned i = 0; i < 4; ++i) machine.go(kChain, 1);
    Block* hot = blocks.known(cpu, kHot);
    REQUIRE(hot);
    CHECK(blocks.region_of(hot) == 1);
    const u8* code = hot->code.checked;
    REQUIRE(code);
    while (blocks.evictions() == 0) next_link();
    CHECK_FALSE(blocks.known(cpu, kChain + 1 * kLink));
    CHECK(blocks.known(cpu, kHot) == hot);
    CHECK(hot->code.checked == code);
    const u64 decoded = cpu.counters.blocks_decoded;
    machine.go(kChain, 1);
    CHECK(cpu.counters.blocks_decoded == decoded);
    while (blocks.evictions() == 1) next_link();
    CHECK_FALSE(blocks.known(cpu, kHot));
}

TEST_CASE("code cache: links and traces that reach into an evicted region go with it") {
    constexpr u64 kFirst = kHot + 0x40, kSecond = kHot + 0x60;
    for (bool translate : {false, true}) {
        CacheMachine machine(translate, true);
        Vcpu& cpu = *machine.cpu;
        BlockCache& blocks = *cpu.blocks;
        machine.memory.write(Gpa(kFirst), std::vector<u8>{0x48, 0xFF, 0xC6, 0xEB,
                                                          kSecond - kFirst - 5});     // inc rsi; jmp second
        machine.memory.write(Gpa(kSecond), std::vector<u8>{0x48, 0xFF, 0xC7, 0xF4});  // inc rdi; hlt
        machine.go(kSecond, 1);
        unsigned at = 1;
        while (blocks.bytes_used() < 12 << 10) machine.go(kChain + at++ * kLink, 1);
        for (unsigned i = 0; i < 3; ++i) machine.go(kFirst, 1);
        Block *first = blocks.known(cpu, kFirst), *second = blocks.known(cpu, kSecond);
        REQUIRE(first);
        REQUIRE(second);
        CHECK(blocks.region_of(first) == 1);
        CHECK(blocks.region_of(second) == 0);
        if (translate)
            CHECK(first->code.regions == 3);
        else
            CHECK(first->link[0] == second);
        while (blocks.evictions() == 0) machine.go(kChain + at++ * kLink, 1);
        CHECK(blocks.known(cpu, kFirst) == first);
        CHECK_FALSE(blocks.known(cpu, kSecond));
        CHECK_FALSE(first->link[0]);
        CHECK_FALSE(first->code.checked);
        for (unsigned i = 0; i < 3; ++i) machine.go(kFirst, 1);
        CHECK(cpu.gpr[kRsi] == 6);
        CHECK(cpu.gpr[kRdi] == 7);
    }
}

TEST_CASE("code cache: what evicted host code was linked to does not remember the link") {
    constexpr u64 kFrom = 0x9800, kTo = kHot + 0x80;
    CacheMachine machine(true, false);
    Vcpu& cpu = *machine.cpu;
    cpu.jit.reset();
    REQUIRE(cpu.enable_jit(1, jit::Jit::kMinBytes));
    machine.memory.write(Gpa(kFrom), std::vector<u8>{0x48, 0xFF, 0xC9, 0x0F, 0x85, 0x77, 0xE8, 0xFF, 0xFF,
                                                     0xF4});                  // dec rcx; jnz to; hlt
    machine.memory.write(Gpa(kTo), std::vector<u8>{0x48, 0xFF, 0xC7, 0xF4});  // inc rdi; hlt
    static_assert(kFrom + 9 + 0xFFFFFFFFFFFFE877 == kTo);
    machine.go(kFrom, 1);
    Block* from = cpu.blocks->known(cpu, kFrom);
    REQUIRE(from);
    REQUIRE(from->code.checked);
    unsigned at = 1;
    while (cpu.jit->bytes_used() < 40 << 10) machine.go(kChain + at++ * kLink, 1);  // into the second region
    machine.go(kTo, 1);
    machine.go(kFrom, 2);
    Block* to = cpu.blocks->known(cpu, kTo);
    REQUIRE(to);
    CHECK(to->code.incoming);
    const u8* code = to->code.checked;
    while (cpu.jit->counters().evictions == 0) machine.go(kChain + at++ % kLinks * kLink, 1);
    CHECK_FALSE(from->code.checked);
    CHECK(to->code.checked == code);
    CHECK_FALSE(to->code.incoming);
    machine.go(kFrom, 2);
    machine.go(kFrom, 2);
    CHECK(to->code.incoming);
    CHECK(cpu.gpr[kRdi] == 4);
}

TEST_CASE("code cache: pages whose last block is evicted are data again") {
    CacheMachine machine(true, true);
    Vcpu& cpu = *machine.cpu;
    machine.go(kChain, 1);
    CHECK(cpu.blocks->holds_code(Gpa(kChain).ppn(), 0, kLink));
    machine.go(kChain + 200 * kLink, 2000);
    REQUIRE(cpu.blocks->evictions() > 8);
    CHECK_FALSE(cpu.blocks->holds_code(Gpa(kChain).ppn(), 0, kPageSize));
    const u64 invalidations = cpu.counters.code_invalidations;
    machine.memory.write(Gpa(kChain), std::vector<u8>(kLink, 0xF4));
    cpu.blocks->invalidate(Gpa(kChain).ppn(), 0, kLink);
    CHECK(cpu.counters.code_invalidations == invalidations);
    machine.go(kChain, 1);
    CHECK(cpu.rip == kChain + 1);
}

TEST_CASE("code cache: the room kept free holds the longest translations, with hits counted") {
    struct {
        const char* text;
        std::vector<u8> bytes;
    } const forms[] = {
        {"push qword [fs:rax + rbx * 8 + disp32]", {0x64, 0xFF, 0xB4, 0xD8, 0, 1, 0, 0}},
        {"pop qword [fs:rax + rbx * 8 + disp32]", {0x64, 0x8F, 0x84, 0xD8, 0, 1, 0, 0}},
        {"lock bts [fs:rax + r10 * 8 + disp32], r11", {0x64, 0xF0, 0x4E, 0x0F, 0xAB, 0x9C, 0xD0, 0, 1, 0, 0}},
        {"lock cmpxchg16b [fs:rax + rbx * 8 + disp32]",
         {0x64, 0xF0, 0x48, 0x0F, 0xC7, 0x8C, 0xD8, 0, 1, 0, 0}},
        {"fadd qword [fs:rax + rbx * 8 + disp32]", {0x64, 0xDC, 0x84, 0xD8, 0, 1, 0, 0}},
        {"adc r11, [fs:r10 + rbx * 8 + disp32]", {0x64, 0x4D, 0x13, 0x9C, 0xDA, 0, 1, 0, 0}},
        {"movsq", {0x48, 0xA5}},
    };
    for (const auto& form : forms) {
        INFO(form.text);
        SimdMachine machine;
        REQUIRE(machine.cpu->enable_jit(1));
        machine.cpu->jit->count_hits();
        for (unsigned g : {kRax, kRsi, kR10}) machine.cpu->gpr[g] = SimdMachine::kData;
        machine.cpu->gpr[kRdi] = SimdMachine::kData + 0x2000;
        for (unsigned g : {kRbx, kR11}) machine.cpu->gpr[g] = 0;
        std::vector<u8> code;
        for (unsigned i = 0; i < kMaxBlockInsns - 1; ++i)
            code.insert(code.end(), form.bytes.begin(), form.bytes.end());
        CHECK(machine.run(code) == SimdMachine::kNoFault);
        CHECK(machine.cpu->jit->counters().instructions >= kMaxBlockInsns - 1);
        CHECK(machine.cpu->jit->counters().bytes * 3 / 2 <
              jit::Jit::kRoom);  // a trace has up to 96 instructions
    }
}
