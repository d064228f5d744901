// SPDX-License-Identifier: MIT
// SHA-1 and SHA-256 acceleration (SDM 1 12.14): the host's instructions where it has them, else portable
// rounds (FIPS 180-4).
#include "cpu/ops/sse/crypto_rounds.h"
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

namespace portable {
namespace {

union Words {
    Xmm vector;
    u32 word[4];
};

constexpr u32 rotate_left(u32 x, unsigned n) { return x << n | x >> (32 - n); }
constexpr u32 rotate_right(u32 x, unsigned n) { return x >> n | x << (32 - n); }

u32 sha1_function(unsigned function, u32 b, u32 c, u32 d) {
    switch (function) {
        case 0: return (b & c) ^ (~b & d);
        case 2: return (b & c) ^ (b & d) ^ (c & d);
        default: return b ^ c ^ d;
    }
}
constexpr u32 kSha1Constants[4] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};

constexpr u32 small_sigma0(u32 x) { return rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3; }
constexpr u32 small_sigma1(u32 x) { return rotate_right(x, 17) ^ rotate_right(x, 19) ^ x >> 10; }

}  // namespace

/// State A B C D from the top dword down; E is already added to the first message word.
Xmm sha1rnds4(Xmm state, Xmm message, unsigned function) {
    Words s{state}, w{message};
    u32 a = s.word[3], b = s.word[2], c = s.word[1], d = s.word[0], e = 0;
    for (int i = 3; i >= 0; --i) {
        u32 next =
            sha1_function(function, b, c, d) + rotate_left(a, 5) + w.word[i] + e + kSha1Constants[function];
        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = next;
    }
    Words result;
    result.word[3] = a, result.word[2] = b, result.word[1] = c, result.word[0] = d;
    return result.vector;
}
Xmm sha1nexte(Xmm a, Xmm b) {
    Words first{a}, result{b};
    result.word[3] += rotate_left(first.word[3], 30);
    return result.vector;
}
Xmm sha1msg1(Xmm a, Xmm b) {
    Words x{a}, y{b}, result;
    result.word[3] = x.word[1] ^ x.word[3];
    result.word[2] = x.word[0] ^ x.word[2];
    result.word[1] = y.word[3] ^ x.word[1];
    result.word[0] = y.word[2] ^ x.word[0];
    return result.vector;
}
Xmm sha1msg2(Xmm a, Xmm b) {
    Words x{a}, y{b}, result;
    result.word[3] = rotate_left(x.word[3] ^ y.word[2], 1);
    result.word[2] = rotate_left(x.word[2] ^ y.word[1], 1);
    result.word[1] = rotate_left(x.word[1] ^ y.word[0], 1);
    result.word[0] = rotate_left(x.word[0] ^ result.word[3], 1);
    return result.vector;
}
/// First operand C D G H, second A B E F, from the top dword down.
Xmm sha256rnds2(Xmm first, Xmm second, Xmm keys) {
    Words x{first}, y{second}, k{keys};
    u32 a = y.word[3], b = y.word[2], c = x.word[3], d = x.word[2], e = y.word[1], f = y.word[0],
        g = x.word[1], h = x.word[0];
    for (int i = 0; i < 2; ++i) {
        u32 sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        u32 sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        u32 t1 = h + sum1 + ((e & f) ^ (~e & g)) + k.word[i];
        u32 t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    Words result;
    result.word[3] = a, result.word[2] = b, result.word[1] = e, result.word[0] = f;
    return result.vector;
}
Xmm sha256msg1(Xmm a, Xmm b) {
    Words x{a}, y{b}, result;
    for (unsigned i = 0; i < 4; ++i)
        result.word[i] = x.word[i] + small_sigma0(i < 3 ? x.word[i + 1] : y.word[0]);
    return result.vector;
}
Xmm sha256msg2(Xmm a, Xmm b) {
    Words x{a}, y{b}, result;
    result.word[0] = x.word[0] + small_sigma1(y.word[2]);
    result.word[1] = x.word[1] + small_sigma1(y.word[3]);
    result.word[2] = x.word[2] + small_sigma1(result.word[0]);
    result.word[3] = x.word[3] + small_sigma1(result.word[1]);
    return result.vector;
}

}  // namespace portable

#define SB_SHA(op) SB_SSE(sse_##op, fetch128<true>, kHostFeatures.sha ? host::op(a, b) : portable::op(a, b))
SB_SHA(sha1nexte)
SB_SHA(sha1msg1)
SB_SHA(sha1msg2)
SB_SHA(sha256msg1)
SB_SHA(sha256msg2)
SB_SSE(sse_sha256rnds2, fetch128<true>,
       kHostFeatures.sha ? host::sha256rnds2(a, b, xmm(cpu, 0)) : portable::sha256rnds2(a, b, xmm(cpu, 0)))

SB_OP(sse_sha1rnds4) {
    Xmm b;
    if (!fetch128<true>(cpu, insn, b)) return false;
    Xmm a = xmm(cpu, insn.reg);
    unsigned function = insn.imm & 3;
    if (!kHostFeatures.sha)
        a = portable::sha1rnds4(a, b, function);
    else if (function == 0)
        a = host::sha1rnds4<0>(a, b);
    else if (function == 1)
        a = host::sha1rnds4<1>(a, b);
    else if (function == 2)
        a = host::sha1rnds4<2>(a, b);
    else
        a = host::sha1rnds4<3>(a, b);
    set_xmm(cpu, insn.reg, a);
    return true;
}

}  // namespace shadowbox
