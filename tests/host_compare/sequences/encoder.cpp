// SPDX-License-Identifier: MIT
// The bytes of a random instruction of a given row: prefixes in any order, REX or VEX, ModRM, SIB,
// displacement, immediates.
#include <algorithm>
#include <cstring>

#include "sequences/generator.h"

namespace shadowbox::compare {

namespace {

bool sized(const OpcodeRow& row) {
    for (Operand o : row.operands) {
        switch (o) {
            case Operand::Ev:
            case Operand::Ey:
            case Operand::Gv:
            case Operand::Gy:
            case Operand::Rv:
            case Operand::Ry:
            case Operand::Mv:
            case Operand::My:
            case Operand::Iz:
            case Operand::Iv:
            case Operand::Ibs:
            case Operand::Ov:
            case Operand::Zv:
            case Operand::rAX:
            case Operand::Xv:
            case Operand::Yv:
            case Operand::Fv:
            case Operand::Jz:
            case Operand::Ma: return true;
            default: break;
        }
    }
    return (row.attributes & (aStack | aD64)) || named(row, "cbw") || named(row, "cwd") ||
           named(row, "cmpxchg8b");
}

/// Rows with a mandatory F2 or F3 that 66 still gives a 16-bit form.
bool takes_operand_prefix_too(const OpcodeRow& row) {
    return named(row, "popcnt") || named(row, "tzcnt") || named(row, "lzcnt") || named(row, "crc32");
}

}  // namespace

void Generator::encode_modrm(const OpcodeRow& row, bool address16, u8 rex, Encoded& e) {
    auto put = [&e](u64 b) { e.bytes[e.size++] = static_cast<u8>(b); };
    u16 constraint = row.modrm;
    if (has_operand(row, Operand::Mvs) && !address16 && random_.chance(97)) return encode_vsib(e);
    if (constraint & 0x100) return put(constraint & 0xFF);
    unsigned kind = constraint >> 4;
    bool memory =
        constraint == modrm::M || kind == 2 || ((constraint == modrm::R || kind == 1) && random_.chance(55));
    unsigned reg = kind ? constraint & 7 : static_cast<unsigned>(random_.below(8)),
             rm = static_cast<unsigned>(random_.below(8));
    if (!memory) return put(0xC0 | reg << 3 | rm);
    unsigned mod = static_cast<unsigned>(random_.below(3));
    if (!address16 && rm == 4 && random_.chance(50)) rm = 3;
    put(mod << 6 | reg << 3 | rm);
    bool no_registers = address16 ? mod == 0 && rm == 6 : mod == 0 && rm == 5;
    if (!address16 && rm == 4) {
        u8 sib = static_cast<u8>(random_());
        if (random_.chance(60) && (sib & 7) == 4) sib ^= 1;
        put(sib);
        if (mod == 0 && (sib & 7) == 5) {
            bool index = (sib >> 3 & 7) != 4 || (rex & 2);
            if (!index)
                no_registers = true;
            else {
                i32 disp = static_cast<i32>(random_.below(4096)) - 2048;
                memcpy(e.bytes + e.size, &disp, 4);
                e.size += 4;
                return;
            }
        }
    }
    if (no_registers) {
        if (!address16) e.disp_at = static_cast<int>(e.size);
        u32 disp = static_cast<u32>(kLow + 64 + random_.below(0x800));
        memcpy(e.bytes + e.size, &disp, 4);
        e.size += address16 ? 2 : 4;
    } else if (mod == 1) {
        put(random_());
    } else if (mod == 2) {
        i32 disp = static_cast<i32>(random_.chance(90) ? random_.below(8192) - 4096 : random_());
        memcpy(e.bytes + e.size, &disp, 4);
        e.size += address16 ? 2 : 4;
    }
}

/// A base without displacement tricks, any index.
void Generator::encode_vsib(Encoded& e) {
    auto put = [&e](u64 b) { e.bytes[e.size++] = static_cast<u8>(b); };
    unsigned mod = 1 + static_cast<unsigned>(random_.below(2));
    put(mod << 6 | random_.below(8) << 3 | 4);
    put(random_());
    i32 disp = static_cast<i32>(random_.below(256)) - 128;
    memcpy(e.bytes + e.size, &disp, 4);
    e.size += mod == 1 ? 1 : 4;
}

/// C4 or C5 and its fields; a few have a value that the row forbids.
void Generator::encode_vex(const OpcodeRow& row, u8 rex, Encoded& e) {
    auto put = [&e](u64 b) { e.bytes[e.size++] = static_cast<u8>(b); };
    unsigned pp = row.prefix == OpPrefix::P66   ? 1
                  : row.prefix == OpPrefix::PF3 ? 2
                  : row.prefix == OpPrefix::PF2 ? 3
                                                : 0;
    unsigned inverted = mode32_ ? 7u : static_cast<unsigned>(~(rex & 7)) & 7;
    bool wide = row.attributes & aW1 || (!(row.attributes & aW0) && (mode32_ ? random_.chance(10) : rex & 8));
    bool large = row.attributes & aL1 || (!(row.attributes & aL0) && random_.chance(is_avx(row) ? 50 : 2));
    if ((row.attributes & (aW0 | aW1)) && random_.chance(2)) wide = !wide, e.bad_vex = true;
    if ((row.attributes & (aL0 | aL1)) && random_.chance(2)) large = !large, e.bad_vex = true;
    // On AMD W makes these #UD outside 64-bit mode, and is ignored here.
    if (mode32_ && host_.amd && (named(row, "vpextrd") || named(row, "vpinsrd"))) wide = false;
    if (host_.amd && (named(row, "vpermq") || named(row, "vpermpd"))) wide = true, e.bad_vex = false;
    if (row.attributes & aL0 && (named(row, "vpclmulqdq") || !strncmp(row.name, "vaes", 4)))
        large = false, e.bad_vex = false;  // VAES
    u64 vvvv = mode32_ ? 8 | random_.below(8) : random_.below(16);
    if ((row.attributes & aNoVvvv) && !random_.chance(2)) vvvv = 15;
    if ((row.attributes & aNoVvvv) && vvvv != 15) e.bad_vex = true;
    u64 last = vvvv << 3 | (large ? 4 : 0) | pp;
    if (row.map == OpMap::M0F && !wide && (inverted & 3) == 3 && random_.chance(50)) {
        put(0xC5);
        put((inverted & 4 ? 0x80 : 0) | last);
        return;
    }
    put(0xC4);
    put(inverted << 5 | static_cast<u64>(row.map));
    put((wide ? 0x80 : 0) | last);
}

void Generator::encode_immediates(const OpcodeRow& row, unsigned osize, unsigned asize, Encoded& e) {
    for (Operand o : row.operands) {
        unsigned size = 0;
        u64 value = random_.integer();
        switch (o) {
            case Operand::Ib:
            case Operand::Ibs:
            case Operand::Lx: size = 1; break;
            case Operand::Jb: size = 1; break;
            case Operand::Iw: size = 2; break;
            case Operand::Iz:
            case Operand::Jz: size = osize == 1 ? 2 : 4; break;
            case Operand::Iv: size = osize == 1 ? 2 : osize == 2 ? 4 : 8; break;
            case Operand::Ob:
            case Operand::Ov:
                size = asize == 3 ? 8 : asize == 2 ? 4 : 2;
                value = memory_target(false, asize == 1);
                break;
            default: continue;
        }
        if (o == Operand::Jb || o == Operand::Jz) {
            e.branch_at = static_cast<int>(e.size);
            e.branch_size = size;
        }
        if (named(row, "enter") && o == Operand::Iw)
            value = random_.chance(85) ? random_.below(0x200) : random_();
        if (named(row, "enter") && o == Operand::Ib)
            value = random_.chance(60) ? 0 : random_.chance(80) ? random_.below(5) : random_();
        if (named(row, "ret") && o == Operand::Iw)
            value = random_.chance(90) ? random_.below(0x100) : random_();
        memcpy(e.bytes + e.size, &value, size);
        e.size += size;
        if (e.size > 15) return;
    }
}

void Generator::encode(const OpcodeRow& row, Encoded& e) {
    auto put = [&e](u64 b) { e.bytes[e.size++] = static_cast<u8>(b); };
    bool vex = row.attributes & aVex, any = row.prefix == OpPrefix::ANY;
    u8 prefixes[6];
    unsigned count = 0;
    bool operand66 = !vex && ((any && random_.chance(sized(row) ? 20 : 2)) ||
                              (takes_operand_prefix_too(row) && random_.chance(15)));
    bool address67 = random_.chance(8);
    if (mode32_ && address67 && !low_page_ && random_.chance(80)) address67 = false;
    if (!vex) {
        if (row.prefix == OpPrefix::P66 || operand66) prefixes[count++] = 0x66;
        if (row.prefix == OpPrefix::PF3) prefixes[count++] = 0xF3;
        if (row.prefix == OpPrefix::PF2) prefixes[count++] = 0xF2;
        if (random_.chance(row.attributes & aLock ? 25 : 1)) prefixes[count++] = 0xF0;
        if (is_string(row) ? random_.chance(60)
                           : any && row.map == OpMap::M0 && row.opcode != 0x90 && row.opcode != 0xE0 &&
                                 row.opcode != 0xE1 && random_.chance(2))
            prefixes[count++] = random_.chance(50) ? 0xF2 : 0xF3;
    }
    if (address67) prefixes[count++] = 0x67;
    if (random_.chance(8)) {
        static constexpr u8 kSegments[6] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};
        prefixes[count++] = kSegments[random_.below(6)];
    }
    for (unsigned i = count; i > 1; --i) std::swap(prefixes[i - 1], prefixes[random_.below(i)]);
    for (unsigned i = 0; i < count; ++i) put(prefixes[i]);

    u8 rex = 0;
    if (!mode32_ && random_.chance(60)) {
        rex = static_cast<u8>(0x40 | random_.below(8) | (random_.chance(45) ? 8 : 0));
    }
    if (vex) {
        encode_vex(row, rex, e);
    } else {
        if (rex) put(rex);
        if (row.map != OpMap::M0) put(0x0F);
        if (row.map == OpMap::M38) put(0x38);
        if (row.map == OpMap::M3A) put(0x3A);
    }
    bool in_opcode =
        has_operand(row, Operand::Zb) || has_operand(row, Operand::Zv) || has_operand(row, Operand::Zd);
    put(row.opcode + (in_opcode ? random_.below(8) : 0));
    bool address16 = mode32_ && address67;
    if (row.modrm != modrm::NO) encode_modrm(row, address16, rex, e);
    unsigned osize = operand66 ? 1 : 2;
    if (!mode32_) {
        if ((rex & 8) || (row.attributes & aF64))
            osize = 3;
        else if (!operand66 && (row.attributes & aD64))
            osize = 3;
    }
    encode_immediates(row, osize, mode32_ ? (address67 ? 1 : 2) : (address67 ? 2 : 3), e);
}

}  // namespace shadowbox::compare
