// SPDX-License-Identifier: MIT
// Makes test cases: short sequences of instructions from the rows that this host can run, with registers and
// memory arranged so that most operands are good ones and some fault.
#pragma once

#include <vector>

#include "cpu/decode/decoder.h"
#include "cpu/state/cpu_model.h"
#include "sequences/random_source.h"
#include "sequences/row_use.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

enum class Modes : u8 { kBoth, kOnly64, kOnly32 };

class Generator {
 public:
    Generator(const CpuModel& model, const HostCpu& host, bool low_page, Modes modes, const char* only_name,
              bool only_avx = false, u16 selector32 = 0x23);
    /// Case `number` of `seed`.
    TestCase make(u64 seed, u64 number);
    /// Only this row, in sequences of it alone.
    void restrict_to(u16 row);

 private:
    struct Encoded {
        u8 bytes[24] = {};
        unsigned size = 0;
        int disp_at = -1;    ///< of a 4-byte displacement without registers
        int branch_at = -1;  ///< of a Jb or Jz displacement
        unsigned branch_size = 0;
        bool bad_vex = false;  ///< a VEX field has a value that must be #UD
    };
    bool append(TestCase& c, const OpcodeRow& row, u16 number);
    bool add(TestCase& c, const Encoded& e, u16 number);
    void encode(const OpcodeRow& row, Encoded& e);
    void encode_modrm(const OpcodeRow& row, bool address16, u8 rex, Encoded& e);
    void encode_vsib(Encoded& e);
    void encode_vex(const OpcodeRow& row, u8 rex, Encoded& e);
    void encode_immediates(const OpcodeRow& row, unsigned osize, unsigned asize, Encoded& e);
    void settle(TestCase& c, const OpcodeRow& row, const Insn& insn, Encoded& e);
    void settle_memory(TestCase& c, const OpcodeRow& row, const Insn& insn, Encoded& e, u64 target);
    void settle_implicit(TestCase& c, const OpcodeRow& row, const Insn& insn, u64 target);
    void settle_branch(TestCase& c, const OpcodeRow& row, const Insn& insn, Encoded& e);
    void settle_lanes(TestCase& c, const OpcodeRow& row, const Insn& insn);
    void fill_target(TestCase& c, const OpcodeRow& row, u64 target);
    u64 memory_target(bool aligned, bool address16);
    u64 code_target();
    void set(TestCase& c, unsigned reg, u64 value);
    void patch(TestCase& c, u64 linear, const void* bytes, u8 size);
    bool finish(TestCase& c);

    const CpuModel& model_;
    HostCpu host_;
    bool low_page_;
    Modes modes_;
    u16 selector32_;                        // of a 32-bit code segment
    std::vector<u16> all_[2], general_[2];  // by mode32
    RandomSource random_{0, 0};
    bool mode32_ = false, avx_ = false;  // avx_: the instruction being made may have 32-byte operands
    u32 claimed_ = 0, tainted_ = 0;
    bool closed_ = false;           // ends in an undefined encoding
    bool no_more_defines_ = false;  // behind a forward branch
    u32 skip_mark_ = 0;             // instructions whose branch goes to the sequence's end
    int branch_place_[kMaxInsns];
};

}  // namespace shadowbox::compare
