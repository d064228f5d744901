// SPDX-License-Identifier: MIT
// Expands opcodes.def into the table of rows.
#include "cpu/decode/opcode_row.h"
#include "cpu/opcodes/opcode_letters.h"
#include "cpu/ops/selectors.h"

namespace shadowbox {

// Declarations of every handler that a row names.
#define H(handler) const Insn* handler(Vcpu& cpu, const Insn* insn);
#define S(selector)
#define OP(map, prefix, opcode, modrm_, name, operands, feature, attributes, reads, writes, undefined, \
           action)                                                                                     \
    action
#include "cpu/opcodes/opcodes.def"
#undef OP
#undef H
#undef S

namespace {
struct Action {
    Handler handler;
    Handler (*select)(Insn& insn, bool flags_dead);
    const char* name;
};
}  // namespace

using namespace flag_letters;
using enum OpMap;
using enum OpPrefix;
using enum Operand;
using enum OpFeature;

#define H(handler_) \
    Action { &handler_, nullptr, #handler_ }
#define S(selector) \
    Action { nullptr, &selector, #selector }
#define UNPAREN(...) __VA_ARGS__
#define OP(map_, prefix_, opcode_, modrm_, name_, operands_, feature_, attributes_, reads, writes, \
           undefined, action)                                                                      \
    {map_,                                                                                         \
     prefix_,                                                                                      \
     static_cast<u8>(opcode_),                                                                     \
     modrm::modrm_,                                                                                \
     name_,                                                                                        \
     {UNPAREN operands_},                                                                          \
     feature_,                                                                                     \
     static_cast<u32>(attributes_),                                                                \
     reads,                                                                                        \
     writes,                                                                                       \
     undefined,                                                                                    \
     (action).handler,                                                                             \
     (action).select,                                                                              \
     (action).name},

extern const OpcodeRow kOpcodeRows[] = {
#include "cpu/opcodes/opcodes.def"
};
extern const unsigned kOpcodeRowCount = sizeof kOpcodeRows / sizeof *kOpcodeRows;

}  // namespace shadowbox
