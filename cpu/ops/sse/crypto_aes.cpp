// SPDX-License-Identifier: MIT
// AES-NI and PCLMULQDQ (SDM 1 12.13): the host's instructions where it has them, else portable rounds (FIPS
// 197).
#include <array>

#include "cpu/ops/sse/crypto_rounds.h"
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

namespace portable {
namespace {

constexpr u8 times2(u8 x) { return static_cast<u8>(x << 1 ^ (x & 0x80 ? 0x1B : 0)); }
constexpr u8 times(u8 x, unsigned factor) {
    u8 result = 0;
    for (; factor; factor >>= 1, x = times2(x)) {
        if (factor & 1) result ^= x;
    }
    return result;
}

struct Boxes {
    std::array<u8, 256> forward{}, inverse{};
};
/// FIPS 197 5.1.1: the inverse in GF(2^8), then the affine map. 3 generates the field, so its powers give
/// the inverses.
constexpr Boxes make_boxes() {
    Boxes boxes;
    u8 power = 1, inverse = 1;
    for (int i = 0; i < 255; ++i) {
        auto rotate = [inverse](int n) { return static_cast<u8>(inverse << n | inverse >> (8 - n)); };
        u8 value = static_cast<u8>(inverse ^ rotate(1) ^ rotate(2) ^ rotate(3) ^ rotate(4) ^ 0x63);
        boxes.forward[power] = value;
        boxes.inverse[value] = power;
        power = times(power, 3);
        inverse = times(inverse, 0xF6);  // 1/3
    }
    boxes.forward[0] = 0x63;
    boxes.inverse[0x63] = 0;
    return boxes;
}
constexpr Boxes kBoxes = make_boxes();
static_assert(kBoxes.forward[0x53] == 0xED && kBoxes.inverse[0xED] == 0x53);

union State {
    Xmm vector;
    u8 byte[16];
};

Xmm substitute_and_shift(Xmm v) {
    State from{v}, to;
    for (unsigned i = 0; i < 16; ++i) to.byte[i] = kBoxes.forward[from.byte[(i + 4 * (i % 4)) % 16]];
    return to.vector;
}
Xmm inverse_substitute_and_shift(Xmm v) {
    State from{v}, to;
    for (unsigned i = 0; i < 16; ++i) to.byte[i] = kBoxes.inverse[from.byte[(i + 16 - 4 * (i % 4)) % 16]];
    return to.vector;
}
Xmm mix(Xmm v, unsigned c0, unsigned c1, unsigned c2, unsigned c3) {
    State from{v}, to;
    for (unsigned i = 0; i < 16; ++i) {
        const u8* column = from.byte + i / 4 * 4;
        to.byte[i] = static_cast<u8>(times(column[i % 4], c0) ^ times(column[(i + 1) % 4], c1) ^
                                     times(column[(i + 2) % 4], c2) ^ times(column[(i + 3) % 4], c3));
    }
    return to.vector;
}

}  // namespace

Xmm aesenc(Xmm state, Xmm key) { return _mm_xor_si128(mix(substitute_and_shift(state), 2, 3, 1, 1), key); }
Xmm aesenclast(Xmm state, Xmm key) { return _mm_xor_si128(substitute_and_shift(state), key); }
Xmm aesdec(Xmm state, Xmm key) { return _mm_xor_si128(aesimc(inverse_substitute_and_shift(state)), key); }
Xmm aesdeclast(Xmm state, Xmm key) { return _mm_xor_si128(inverse_substitute_and_shift(state), key); }
Xmm aesimc(Xmm state) { return mix(state, 14, 11, 13, 9); }

Xmm aeskeygenassist(Xmm key) {
    auto word = [](u32 x) {
        return static_cast<u32>(kBoxes.forward[x & 0xFF]) |
               static_cast<u32>(kBoxes.forward[x >> 8 & 0xFF]) << 8 |
               static_cast<u32>(kBoxes.forward[x >> 16 & 0xFF]) << 16 |
               static_cast<u32>(kBoxes.forward[x >> 24]) << 24;
    };
    auto pair = [&](u32 x) {
        u32 substituted = word(x);
        return static_cast<u64>(substituted >> 8 | substituted << 24) << 32 | substituted;
    };
    return from_u64(pair(static_cast<u32>(high64(key) >> 32)), pair(static_cast<u32>(low64(key) >> 32)));
}

Xmm carryless_multiply(Xmm a, Xmm b) {
    u64 x = low64(a), y = low64(b), low = 0, high = 0;
    for (unsigned i = 0; i < 64; ++i) {
        if (!(y >> i & 1)) continue;
        low ^= x << i;
        if (i) high ^= x >> (64 - i);
    }
    return from_u64(high, low);
}

}  // namespace portable

#define SB_AES(op) SB_SSE(sse_##op, fetch128<true>, kHostFeatures.aes ? host::op(a, b) : portable::op(a, b))
SB_AES(aesenc)
SB_AES(aesenclast)
SB_AES(aesdec)
SB_AES(aesdeclast)
SB_SSE(sse_aesimc, fetch128<true>, kHostFeatures.aes ? host::aesimc(b, b) : portable::aesimc(b))

SB_OP(sse_aeskeygenassist) {
    Xmm b;
    if (!fetch128<true>(cpu, insn, b)) return false;
    b = kHostFeatures.aes ? host::aeskeygenassist<0>(b, b) : portable::aeskeygenassist(b);
    int constant = static_cast<u8>(insn.imm);
    set_xmm(cpu, insn.reg, _mm_xor_si128(b, _mm_set_epi32(constant, 0, constant, 0)));
    return true;
}

/// imm8[0] and imm8[4] pick the halves of the first and second operand.
SB_OP(sse_pclmulqdq) {
    Xmm b;
    if (!fetch128<true>(cpu, insn, b)) return false;
    Xmm a = xmm(cpu, insn.reg);
    if (insn.imm & 0x01) a = _mm_unpackhi_epi64(a, a);
    if (insn.imm & 0x10) b = _mm_unpackhi_epi64(b, b);
    set_xmm(cpu, insn.reg,
            kHostFeatures.pclmul ? host::pclmulqdq<0>(a, b) : portable::carryless_multiply(a, b));
    return true;
}

}  // namespace shadowbox
