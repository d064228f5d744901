// SPDX-License-Identifier: MIT
// A store into the instruction behind it is seen by that instruction, as processors do it: whichever
// instruction stores, alone or as a machine's vCPU, whose code writes go to all vCPUs by a listener.
#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

/// What a virtual machine does with code writes.
struct AllVcpus : CodeWriteListener {
    void code_written(Ppn ppn, u32 offset, u32 size) override {
        ++heard;
        for (Vcpu* vcpu : vcpus) vcpu->blocks->post_invalidate(ppn, offset, size);
    }
    unsigned heard = 0;
    std::vector<Vcpu*> vcpus;
};

struct Machine : SimdMachine {
    Machine(bool translate, bool listens, unsigned vcpus) : other(1, memory, bus, bus, bus, model) {
        budget = 100'000;
        cpu->vcpu_count = vcpus;
        cpu->alone = true;  // locked accesses to code are done by a vCPU that runs alone
        if (translate) REQUIRE(cpu->enable_jit(1));
        if (!listens) return;
        relay.vcpus = {cpu.get(), &other};
        memory.set_code_listener(&relay);
    }
    ~Machine() { memory.set_code_listener(nullptr); }

    AllVcpus relay;
    Vcpu other;
};

struct Store {
    const char* name;
    std::vector<u8> code;  ///< BL to [RDI], which is the operand of the MOV AL, imm8 behind it
    u64 alias = 0;         ///< RDI is so far from it
};

const Store kStores[] = {
    {"MOV", {0x88, 0x1F}},
    {"MOV through another linear address", {0x88, 0x1F}, 0x400000},
    {"XCHG", {0x88, 0xD8, 0x86, 0x07}},              // mov al, bl; xchg [rdi], al
    {"CMPXCHG", {0x8A, 0x07, 0x0F, 0xB0, 0x1F}},     // mov al, [rdi]; cmpxchg [rdi], bl
    {"LOCK OR", {0xC6, 0x07, 0, 0xF0, 0x08, 0x1F}},  // mov byte [rdi], 0; lock or [rdi], bl
    {"STOSB", {0x88, 0xD8, 0xAA}},                   // mov al, bl; stosb
    {"REP STOSB", {0x88, 0xD8, 0xB9, 1, 0, 0, 0, 0xF3, 0xAA}},
    // mov rax, [rdi]; mov al, bl; lea rsp, [rdi + 8]; push rax
    {"PUSH", {0x48, 0x8B, 0x07, 0x88, 0xD8, 0x48, 0x8D, 0x67, 0x08, 0x50}},
    {"MOV of 8 bytes", {0x48, 0x8B, 0x07, 0x88, 0xD8, 0x48, 0x89, 0x07}},
    // movdqu xmm0, [rdi]; pinsrb xmm0, ebx, 0; movdqu [rdi], xmm0
    {"MOVDQU", {0xF3, 0x0F, 0x6F, 0x07, 0x66, 0x0F, 0x3A, 0x20, 0xC3, 0, 0xF3, 0x0F, 0x7F, 0x07}},
    {"MOVNTI", {0x8B, 0x07, 0x88, 0xD8, 0x0F, 0xC3, 0x07}},  // mov eax, [rdi]; mov al, bl; movnti [rdi], eax
};

constexpr unsigned kRounds = 40;

/// Loop: mov edi, operand; the store; mov al, operand; movzx eax, al; add edx, eax; dec ebx; jnz loop; hlt.
/// The operand is the byte before `end`.
u64 sum_of_operands(Machine& machine, const Store& store, u64 end) {
    std::vector<u8> code{0xBF, 0, 0, 0, 0};
    const u32 operand = static_cast<u32>(end - 1 + store.alias);
    memcpy(&code[1], &operand, 4);
    code.insert(code.end(), store.code.begin(), store.code.end());
    code.insert(code.end(), {0xB0, 0xEE});
    const u64 start = end - code.size();
    code.insert(code.end(), {0x0F, 0xB6, 0xC0, 0x01, 0xC2, 0xFF, 0xCB, 0x75});
    code.push_back(static_cast<u8>(-static_cast<int>(code.size() + 1)));
    code.push_back(0xF4);
    machine.memory.write(Gpa(start), code);
    machine.cpu->rip = start;
    machine.cpu->gpr[kRsp] = SimdMachine::kStack;
    machine.cpu->gpr[kRbx] = kRounds;
    machine.cpu->gpr[kRdx] = 0;
    machine.run_to_halt();
    CHECK(machine.cpu->rip == start + code.size());
    return machine.cpu->gpr[kRdx];
}

}  // namespace

TEST_CASE("code: a store into the next instruction is seen by it, with and without a listener") {
    for (bool translate : {false, true}) {
        for (bool exact : {false, true}) {
            for (unsigned vcpus : {0u, 1u, 2u}) {  // 0: nobody listens
                for (const Store& store : kStores) {
                    for (u64 end : {0x12040, 0x13000}) {
                        INFO(store.name << ", operand before " << end << (translate ? ", translated" : "")
                                        << (exact ? ", counted exactly" : "") << ", vCPUs " << vcpus);
                        Machine machine(translate, vcpus > 0, std::max(vcpus, 1u));
                        machine.cpu->exact_time = exact;
                        machine.put(0x5010, u64{0x83});  // 400000H is page 0 once more
                        CHECK(sum_of_operands(machine, store, end) == kRounds * (kRounds + 1) / 2);
                    }
                }
            }
        }
    }
}

TEST_CASE("code: the other vCPUs of a machine hear of a store into code, who is alone tells nobody") {
    for (unsigned vcpus : {1u, 2u}) {
        Machine machine(false, true, vcpus);
        sum_of_operands(machine, kStores[0], 0x12040);
        CHECK((machine.relay.heard > 0) == (vcpus > 1));
    }
}
