// SPDX-License-Identifier: MIT
// CMP and TEST fused with the conditional branch after them: one dispatch for the commonest pair of all, and
// the condition straight from the operands. The lazy flags are stored all the same, for whoever comes next.
#include "cpu/ops/general/alu.h"
#include "cpu/ops/general/branch.h"

namespace shadowbox {

namespace {

/// The condition of `code` right after CMP a,b or TEST a,b (r the result).
template <Alu op, class T, unsigned code>
[[gnu::always_inline]] inline bool holds(const LazyFlags& flags, T a, T b, T r) {
    using S = std::make_signed_t<T>;
    constexpr bool compare = op == Alu::kCmp;
    switch (code) {
        case 2: return compare && a < b;
        case 3: return !compare || a >= b;
        case 4: return r == 0;
        case 5: return r != 0;
        case 6: return compare ? a <= b : r == 0;
        case 7: return compare ? a > b : r != 0;
        case 8: return static_cast<S>(r) < 0;
        case 9: return static_cast<S>(r) >= 0;
        case 12: return compare ? static_cast<S>(a) < static_cast<S>(b) : static_cast<S>(r) < 0;
        case 13: return compare ? static_cast<S>(a) >= static_cast<S>(b) : static_cast<S>(r) >= 0;
        case 14: return compare ? static_cast<S>(a) <= static_cast<S>(b) : static_cast<S>(r) <= 0;
        case 15: return compare ? static_cast<S>(a) > static_cast<S>(b) : static_cast<S>(r) > 0;
        default: return flags.condition(code);  // overflow and parity
    }
}

template <Alu op, class T, Form form, unsigned code, bool SamePage>
const Insn* fused_handler(Vcpu& cpu, const Insn* insn) {
    T a = get<T>(cpu, insn->rm);
    T b = form == Form::kRR ? get<T>(cpu, insn->reg) : static_cast<T>(insn->imm);
    T r = alu<op, T, true>(cpu, a, b);
    if (holds<op, T, code>(cpu.flags, a, b, r))
        SB_GO_ON(cpu, follow_link<SamePage>(cpu, static_cast<u64>(insn->disp), 0));
    SB_GO_ON(cpu, fall_through(cpu, insn));
}

template <Alu op, class T, Form form, bool SamePage, unsigned... codes>
Handler pick(unsigned code, std::integer_sequence<unsigned, codes...>) {
    static constexpr Handler kHandlers[] = {fused_handler<op, T, form, codes, SamePage>...};
    return kHandlers[code];
}
template <Alu op, class T>
Handler choose(Form form, unsigned code, bool same_page) {
    constexpr auto all = std::make_integer_sequence<unsigned, 16>{};
    if (form == Form::kRR)
        return same_page ? pick<op, T, Form::kRR, true>(code, all) : pick<op, T, Form::kRR, false>(code, all);
    return same_page ? pick<op, T, Form::kRI, true>(code, all) : pick<op, T, Form::kRI, false>(code, all);
}
template <Alu op>
Handler choose_size(unsigned bytes, Form form, unsigned code, bool same_page) {
    switch (bytes) {
        case 1: return choose<op, u8>(form, code, same_page);
        case 4: return choose<op, u32>(form, code, same_page);
        case 8: return choose<op, u64>(form, code, same_page);
        default: return nullptr;
    }
}

bool is(const Insn& insn, Handler (*select)(Insn&, bool)) {
    return insn.row != kNoRow && kOpcodeRows[insn.row].select == select;
}

}  // namespace

unsigned fuse_compare_and_branch(Insn* insns, unsigned cells) {
    Insn& compare = insns[cells - 2];
    const Insn& branch = insns[cells - 1];
    bool is_cmp = is(compare, &select_alu<Alu::kCmp>), is_test = is(compare, &select_alu<Alu::kTest>);
    // Outside 64-bit mode branch targets are checked against CS's limit: left to the plain handlers.
    if (!(is_cmp || is_test) || compare.mem || !is(branch, &select_jcc) || branch.asize != 3) return cells;
    if (compare.length + branch.length > 15) return cells;
    // choose_handler() has put the operands of register forms into rm and reg already.
    const OpcodeRow& row = kOpcodeRows[compare.row];
    bool immediate =
        row.operands[1] == Operand::Ib || row.operands[1] == Operand::Ibs || row.operands[1] == Operand::Iz;
    Form form = immediate ? Form::kRI : Form::kRR;
    unsigned bytes = operand_bytes(compare), code = branch.opcode & 15;
    Handler handler = is_cmp ? choose_size<Alu::kCmp>(bytes, form, code, branch.same_page)
                             : choose_size<Alu::kTest>(bytes, form, code, branch.same_page);
    if (!handler) return cells;
    compare.handler = handler;
    compare.disp = branch.disp;
    compare.length = compare.length + branch.length;
    compare.fused = 1;
    return cells - 1;
}

}  // namespace shadowbox
