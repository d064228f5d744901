// SPDX-License-Identifier: MIT
#include "cpu/decode/absent_opcodes.h"

#include "core/log.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/ops/pseudo.h"

namespace shadowbox {

using enum OpMap;
using enum OpPrefix;

#define ABSENT(map, prefix, first, last, modrm_, name, feature) \
    {map, prefix, first, last, modrm::modrm_, false, name, feature},
#define ABSENT_VEX(map, prefix, first, last, modrm_, name, feature) \
    {map, prefix, first, last, modrm::modrm_, true, name, feature},
extern const AbsentRow kAbsentRows[] = {
#include "cpu/opcodes/absent.def"
};
#undef ABSENT
#undef ABSENT_VEX
extern const unsigned kAbsentRowCount = sizeof kAbsentRows / sizeof *kAbsentRows;

i32 find_absent(const AbsentQuery& query) {
    for (unsigned i = 0; i < kAbsentRowCount; ++i) {
        const AbsentRow& row = kAbsentRows[i];
        if (static_cast<unsigned>(row.map) != query.map || query.opcode < row.first ||
            query.opcode > row.last || row.vex != query.vex)
            continue;
        if (!prefix_fits(row.prefix, query.operand_prefix, query.rep)) continue;
        if (row.modrm != modrm::NO &&
            (query.modrm < 0 || !modrm::fits(row.modrm, static_cast<u8>(query.modrm))))
            continue;
        return static_cast<i32>(i) + 1;
    }
    return 0;
}

const Insn* op_absent(Vcpu& cpu, const Insn* insn) {
    const AbsentRow& row = kAbsentRows[insn->imm - 1];
    ++cpu.counters.absent_instructions;
    guest_oddity(std::string("no-") + row.feature, fmt::format("{} at {:#x}: this processor has no {}; #UD",
                                                               row.name, rip_of(cpu, insn), row.feature));
    return op_undefined(cpu, insn);
}

}  // namespace shadowbox
