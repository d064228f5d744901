// SPDX-License-Identifier: MIT
// Whether a row ends its block, and whether its handler does. Rows that name their handler are held together
// by the linker (opcodes/opcode_table.cpp); those with a selector are asked here, by running what it chooses.
#include <cstdlib>
#include <set>

#include "cpu/blocks/block.h"
#include "cpu/decode/decoder.h"
#include "cpu/decode/opcode_row.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

bool went_on = false;
const Insn* next_cell(Vcpu&, const Insn*) {
    went_on = true;
    return nullptr;
}

struct Bench {
    Bench() : block(static_cast<Block*>(std::calloc(1, sizeof(Block) + 2 * sizeof(Insn)))) {
        m.cpu->safepoint.enter();
        for (u64 at = 0; at < 4 * kPageSize; at += 8) m.put(SimdMachine::kData + at, u64{0});
    }
    ~Bench() {
        m.cpu->safepoint.leave();
        std::free(block);
    }
    /// True if the instruction ran; `went_on` says where to.
    bool run(const Insn& decoded, bool flags_dead) {
        Vcpu& cpu = *m.cpu;
        Insn insn = decoded;
        choose_handler({cpu.mode, SimdMachine::kCode, &m.model}, insn, flags_dead);
        new (block) Block{};
        block->rip = cpu.rip = SimdMachine::kCode, block->mode = cpu.mode, block->cost = 1;
        block->insns[0] = insn;
        block->insns[1].handler = next_cell;
        for (unsigned i = 0; i < 16; ++i) cpu.gpr[i] = SimdMachine::kData + kPageSize;
        cpu.gpr[kRcx] = 1;
        cpu.single = true;  // no next block is entered
        cpu.block = block;
        cpu.budget = 100;
        cpu.exit = ExitReason::kNone;
        cpu.device_accesses.begin(cpu.rip);
        went_on = false;
        const Insn* at = block->insns;
        while (at) at = at->handler(cpu, at);
        cpu.single = false;
        cpu.device_accesses.end(false);
        if (cpu.exit != ExitReason::kWaitPage) return cpu.exit == ExitReason::kNone;
        cpu.mmu.wait_for_page();  // a store to the zero page
        return run(decoded, flags_dead);
    }
    SimdMachine m;
    Block* block;
};

}  // namespace

TEST_CASE("opcodes: a handler that a selector chooses ends its block if its row says so, else it goes on") {
    Bench bench;
    std::set<unsigned> asked, ran;
    for (int map = 0; map < 2; ++map) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            for (unsigned variant = 0; variant < 4 * 16; ++variant) {
                std::vector<u8> bytes;
                if (variant / 16 == 1) bytes.push_back(0x66);
                if (variant / 16 == 2) bytes.push_back(0x48);
                if (variant / 16 == 3) bytes.push_back(0xF3);
                if (map) bytes.push_back(0x0F);
                bytes.push_back(static_cast<u8>(opcode));
                // ModRM: register 3 or memory at register 3, and each /n
                bytes.push_back(static_cast<u8>((variant & 8 ? 0xC3 : 0x03) | (variant & 7) << 3));
                bytes.resize(16, 0);
                Insn insn;
                DecodeContext context{bench.m.cpu->mode, SimdMachine::kCode, &bench.m.model};
                if (decode_insn(context, bytes.data(), 16, insn) != DecodeStatus::kOk) continue;
                const OpcodeRow& row = kOpcodeRows[insn.row];
                if (!row.select) continue;
                asked.insert(insn.row);
                const bool ends = (row.attributes & aEnd) || ((row.attributes & aString) && insn.rep);
                for (bool flags_dead : {false, true}) {
                    if (!bench.run(insn, flags_dead)) continue;
                    INFO(row.name << ", opcode " << opcode << ", variant " << variant);
                    CHECK(went_on == !ends);
                    ran.insert(insn.row);
                }
            }
        }
    }
    CHECK(asked.size() > 100);
    for (unsigned row : asked) {
        INFO(kOpcodeRows[row].name << " " << +kOpcodeRows[row].opcode);
        CHECK(ran.count(row) == 1);
    }
}
