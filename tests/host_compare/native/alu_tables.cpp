// SPDX-License-Identifier: MIT
#include "native/alu_tables.h"

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <vector>

#include "cpu/state/registers.h"

namespace shadowbox::compare {

namespace {

struct Table {
    const char* name;
    std::vector<u8> insn;  ///< works on AL (AX) and BL, or AL and CL
    u32 flags;             ///< defined ones
    bool only32;
    enum Guard : u8 { kNone, kUnsignedDivide, kSignedDivide, kCountOne, kCountBelow8 } guard;
};

constexpr u32 kAllFlags = 0x8D5;

std::vector<Table> tables() {
    std::vector<Table> list;
    static constexpr const char* kAlu[8] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
    for (u8 n = 0; n < 8; ++n) {
        bool logic = n == 1 || n == 4 || n == 6;
        list.push_back({kAlu[n],
                        {static_cast<u8>(n * 8), 0xD8},
                        logic ? kAllFlags & ~0x10u : kAllFlags,
                        false,
                        Table::kNone});
    }
    list.push_back({"inc", {0xFE, 0xC0}, kAllFlags, false, Table::kNone});
    list.push_back({"dec", {0xFE, 0xC8}, kAllFlags, false, Table::kNone});
    list.push_back({"not", {0xF6, 0xD0}, kAllFlags, false, Table::kNone});
    list.push_back({"neg", {0xF6, 0xD8}, kAllFlags, false, Table::kNone});
    list.push_back({"mul", {0xF6, 0xE3}, 0x801, false, Table::kNone});
    list.push_back({"imul", {0xF6, 0xEB}, 0x801, false, Table::kNone});
    list.push_back({"div", {0xF6, 0xF3}, 0, false, Table::kUnsignedDivide});
    list.push_back({"idiv", {0xF6, 0xFB}, 0, false, Table::kSignedDivide});
    static constexpr const char* kShift[8] = {"rol", "ror", "rcl", "rcr", "shl", "shr", "shl(6)", "sar"};
    for (u8 n = 0; n < 8; ++n) {
        std::vector<u8> insn = {0xD2, static_cast<u8>(0xC0 | n << 3)};
        u32 any_count = n < 4 ? 0xD5u : n == 7 ? 0xC5u : 0xC4u;  // CF of SHL and SHR: counts below 8 only
        list.push_back({kShift[n], insn, any_count, false, Table::kNone});
        list.push_back({kShift[n], insn, any_count | 1, false, Table::kCountBelow8});
        list.push_back({kShift[n], insn, n < 4 ? kAllFlags : kAllFlags & ~0x10u, false, Table::kCountOne});
    }
    list.push_back({"daa", {0x27}, kAllFlags & ~0x800u, true, Table::kNone});
    list.push_back({"das", {0x2F}, kAllFlags & ~0x800u, true, Table::kNone});
    list.push_back({"aaa", {0x37}, 0x11, true, Table::kNone});
    list.push_back({"aas", {0x3F}, 0x11, true, Table::kNone});
    list.push_back({"aam", {0xD4, 10}, 0xC4, true, Table::kNone});
    list.push_back({"aad", {0xD5, 10}, 0xC4, true, Table::kNone});
    list.push_back({"aam 16", {0xD4, 16}, 0xC4, true, Table::kNone});
    list.push_back({"aad 0", {0xD5, 0}, 0xC4, true, Table::kNone});
    return list;
}

/// edx: (first operand, second, carry and AF), counting up. One row of 4 bytes of checksum for each 512 steps
/// at kData.
///   esi = step; al = step >> 9; bl = cl = step >> 1 (8 bits); flags CF = step & 1, AF = step >> 1 & 1
std::vector<u8> program(const Table& t, u64 first_operand) {
    std::vector<u8> p;
    auto put = [&p](std::initializer_list<int> bytes) {
        for (int b : bytes) p.push_back(static_cast<u8>(b));
    };
    put({0x31, 0xED});  // xor ebp, ebp             checksum
    put({0x31, 0xF6});  // xor esi, esi             step
    std::size_t loop = p.size();
    put({0x89, 0xF3, 0xD1, 0xEB});                 // mov ebx, esi; shr ebx, 1
    put({0x89, 0xD9});                             // mov ecx, ebx
    put({0x0F, 0xB6, 0xC7});                       // movzx eax, bh            row's low half
    put({0xB4, static_cast<int>(first_operand)});  // mov ah, constant
    std::vector<std::size_t> exits;
    auto leave_if = [&](int jcc) {
        put({jcc, 0});
        exits.push_back(p.size());
    };
    if (t.guard == Table::kUnsignedDivide) {
        put({0x38, 0xDC});
        leave_if(0x73);
    }  // cmp ah, bl; jae
    if (t.guard == Table::kSignedDivide) {
        put({0x66, 0x98});  // cbw: AX = AL sign-extended
        put({0x80, 0xFB, 0x01});
        leave_if(0x72);  // cmp bl, 1; jb: divisor 0
        put({0x80, 0xFB, 0xFF});
        leave_if(0x74);  // -128 / -1
    }
    if (t.guard == Table::kCountOne) { put({0xB1, 0x01}); }           // mov cl, 1
    if (t.guard == Table::kCountBelow8) { put({0x80, 0xE1, 0x07}); }  // and cl, 7
    put({0x89, 0xF2, 0x83, 0xE2, 0x03});                              // mov edx, esi; and edx, 3
    put({0x6B, 0xD2, 0x11});                                          // imul edx, edx, 17: bits 0, 4 and 1, 5
    put({0x83, 0xE2, 0x11});                                          // and edx, 11H
    put({0x86, 0xF2});                                                // xchg dl, dh
    put({0x86, 0xE6});                                                // xchg ah, dh
    put({0x9E});                                                      // sahf
    put({0x86, 0xE6});  // xchg ah, dh: AH is the operand again, DH the flags
    for (u8 b : t.insn) p.push_back(b);
    put({0x9C, 0x5A});  // pushf; pop edx
    put({0x81, 0xE2, static_cast<int>(t.flags & 0xFF), static_cast<int>(t.flags >> 8), 0, 0});
    put({0xC1, 0xE2, 0x10});                    // shl edx, 16
    put({0x0F, 0xB7, 0xC0});                    // movzx eax, ax
    put({0x31, 0xC2});                          // xor edx, eax
    put({0x31, 0xD5});                          // xor ebp, edx
    put({0x69, 0xED, 0x01, 0x01, 0x01, 0x01});  // imul ebp, ebp, 01010101H: order counts
    put({0x83, 0xC5, 0x1D});                    // add ebp, 29
    for (std::size_t from : exits) p[from - 1] = static_cast<u8>(p.size() - from);
    put({0x89, 0xF2, 0xC1, 0xEA, 0x09});        // mov edx, esi; shr edx, 9
    put({0x89, 0x2C, 0x97});                    // mov [edi + edx*4], ebp
    put({0x83, 0xC6, 0x01});                    // add esi, 1
    put({0x81, 0xFE, 0x00, 0x00, 0x02, 0x00});  // cmp esi, 20000H
    put({0x0F, 0x85, 0, 0, 0, 0});              // jne loop
    i32 back = static_cast<i32>(loop) - static_cast<i32>(p.size());
    memcpy(p.data() + p.size() - 4, &back, 4);
    put({0x56, 0x5A});  // push rsi; pop rdx: over the undefined flags that the last PUSHF left on the stack
    return p;
}

struct Run {
    const Table& table;
    int constant;
    TestCase c;
};

/// All tables of one mode, with each value of AH that they want.
void each_run(bool mode32, u16 selector32, const std::function<void(const Run&)>& use) {
    for (const Table& t : tables()) {
        if (t.only32 && !mode32) continue;
        std::vector<int> constants = {0};
        bool wide = t.guard == Table::kUnsignedDivide || t.name[0] == 'a';
        if (wide) constants = {0, 1, 2, 5, 9, 0x7F, 0x80, 0xFE, 0xFF};
        for (int constant : constants) {
            Run run{t, constant, {}};
            TestCase& c = run.c;
            c.mode32 = mode32;
            c.memory_seed = 1;
            std::vector<u8> code = program(t, static_cast<u64>(constant));
            if (code.size() > kMaxCode) abort();
            c.code_offset = 64;
            c.long_code = true;
            c.code_size = static_cast<unsigned>(code.size());
            memcpy(c.code, code.data(), code.size());
            c.start.rip = kCode + 64;
            c.start.cs = mode32 ? selector32 : 0x33;
            c.start.gpr[kRdi] = kData;
            c.start.gpr[kRsp] = kStack + 0x800;
            c.start.flags = 0x202;
            c.start.fx[1] = 3, c.start.fx[0] = 0x7F, c.start.fx[24] = 0x80, c.start.fx[25] = 0x1F;
            use(run);
        }
    }
}

}  // namespace

std::vector<TestCase> alu_table_programs32() {
    std::vector<TestCase> list;
    each_run(true, 0x23, [&list](const Run& run) { list.push_back(run.c); });
    return list;
}

u64 compare_alu_tables(NativeWorker& worker, EmulatedSide& emulated, u16 selector32) {
    static Outcome guest;
    u64 failed = 0, count = 0, skipped = 0;
    auto compare = [&](const Run& run) {
        const TestCase& c = run.c;
        const char* name = run.table.name;
        unsigned bits = c.mode32 ? 32 : 64;
        worker.shared().cases[0] = c;
        worker.shared().count = 1;
        worker.run();
        const Outcome& native = worker.shared().outcomes[0];
        emulated.run(c, guest);
        ++count;
        if (native.kind != Outcome::kException || guest.kind != Outcome::kException ||
            native.end.rip != guest.end.rip) {
            fmt::print("DIFFERS: table {} ({}-bit mode) did not end alike: rip {:x} != {:x}\n", name, bits,
                       guest.end.rip, native.end.rip);
            ++failed;
            return;
        }
        const u8 *n = native.image + kLowSize, *e = guest.image + kLowSize;
        for (unsigned row = 0; row < 256; ++row) {
            if (memcmp(n + row * 4, e + row * 4, 4) == 0) continue;
            fmt::print("DIFFERS: table {} ({}-bit mode), first operand {:02x}, AH {:02x}, guard {}\n", name,
                       bits, row, run.constant, static_cast<int>(run.table.guard));
            ++failed;
            break;
        }
    };
    each_run(false, 0, compare);
    if (selector32)
        each_run(true, selector32, compare);
    else
        each_run(true, 0, [&skipped](const Run&) { ++skipped; });
    fmt::print("host_compare: {} exhaustive 8-bit tables of 131072 operations, {} differ", count, failed);
    if (skipped) fmt::print("; {} in 32-bit mode skipped (the corpus has them)", skipped);
    fmt::print("\n");
    return failed;
}

}  // namespace shadowbox::compare
