// SPDX-License-Identifier: MIT
// Expands opcodes.def into the table of rows.
#include <type_traits>

#include "cpu/decode/opcode_row.h"
#include "cpu/opcodes/opcode_letters.h"
#include "cpu/ops/selectors.h"

namespace shadowbox {

// Declarations of every handler that a row names.
#define H(handler)                                    \
    const Insn* handler(Vcpu& cpu, const Insn* insn); \
    template <bool ends_block>                        \
    void handler##_row();
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

#undef H
#undef S
#undef OP
// No row disagrees with its handler about ending a block: the one kind of `handler_row` exists that the
// handler's SB_OP or SB_END made, and the row asks for the one that its attributes say. "undefined reference
// to op_x_row<true>": the row says aEnd, the handler is SB_OP. Rows with selectors: row_ends_test.cpp.
#define H(handler_) []<bool ends>(std::bool_constant<ends>) { return &handler_##_row<ends>; }
#define S(selector) [](auto) -> void (*)() { return nullptr; }
#define OP(map_, prefix_, opcode_, modrm_, name_, operands_, feature_, attributes_, reads, writes, \
           undefined, action)                                                                      \
    (action)(std::bool_constant<((attributes_)&aEnd) != 0>{}),

[[gnu::used]] static void (*const kAgreed[])() = {
#include "cpu/opcodes/opcodes.def"
};

}  // namespace shadowbox
