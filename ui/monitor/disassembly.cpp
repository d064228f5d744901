// SPDX-License-Identifier: MIT
#include "ui/monitor/disassembly.h"

#include <capstone/capstone.h>

namespace shadowbox {

DisassembledInsn disassemble(std::span<const u8> bytes, u64 rip, unsigned bits) {
    csh handle = 0;
    cs_mode mode = bits == 16 ? CS_MODE_16 : bits == 32 ? CS_MODE_32 : CS_MODE_64;
    if (cs_open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK) return {"(no disassembler)", 1};
    cs_insn* insn = nullptr;
    DisassembledInsn result{"(bad)", 1};
    if (cs_disasm(handle, bytes.data(), bytes.size(), rip, 1, &insn) == 1) {
        result.text = insn->mnemonic;
        if (insn->op_str[0]) result.text += std::string(" ") + insn->op_str;
        result.length = insn->size;
        cs_free(insn, 1);
    }
    cs_close(&handle);
    return result;
}

}  // namespace shadowbox
