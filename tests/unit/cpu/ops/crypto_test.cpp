// SPDX-License-Identifier: MIT
// AES, SHA and PCLMULQDQ: the portable rounds against published vectors and, where the host has them, its
// instructions.
#include <random>

#include "cpu/ops/sse/crypto_rounds.h"
#include "simd_fixture.h"

using namespace shadowbox;

namespace shadowbox {
Xmm shuffle_bytes_portable(Xmm a, Xmm control);
}

namespace {

Xmm make(u64 high, u64 low) {
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}
bool same(Xmm a, Xmm b) { return _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) == 0xFFFF; }

}  // namespace

TEST_CASE("crypto: portable AES round and key assist give the white paper's values") {
    // Intel's AES-NI white paper, section "examples".
    Xmm state = make(0x7b5b546573745665, 0x63746f725d53475d),
        key = make(0x4869285368617929, 0x5b477565726f6e5d);
    CHECK(same(portable::aesenc(state, key), make(0xa8311c2f9fdba3c5, 0x8b104b58ded7e595)));
    CHECK(same(portable::aesdec(state, key), make(0x138ac342faea2787, 0xb58eb95eb730392a)));
}

TEST_CASE("crypto: portable carry-less product") {
    CHECK(same(portable::carryless_multiply(make(0, 0x63746f725d53475d), make(0, 0x5b477565726f6e5d)),
               make(0x1d4d84c85c3440c0, 0x929633d5d36f0451)));
}

TEST_CASE("crypto: portable rounds and the host's instructions agree") {
    std::mt19937_64 random(4);
    for (int i = 0; i < 2000; ++i) {
        Xmm a = make(random(), random()), b = make(random(), random()), c = make(random(), random());
        if (kHostFeatures.aes) {
            REQUIRE(same(portable::aesenc(a, b), host::aesenc(a, b)));
            REQUIRE(same(portable::aesenclast(a, b), host::aesenclast(a, b)));
            REQUIRE(same(portable::aesdec(a, b), host::aesdec(a, b)));
            REQUIRE(same(portable::aesdeclast(a, b), host::aesdeclast(a, b)));
            REQUIRE(same(portable::aesimc(a), host::aesimc(a, a)));
            REQUIRE(same(portable::aeskeygenassist(a), host::aeskeygenassist<0>(a, a)));
        }
        if (kHostFeatures.pclmul) REQUIRE(same(portable::carryless_multiply(a, b), host::pclmulqdq<0>(a, b)));
        if (kHostFeatures.ssse3) REQUIRE(same(shuffle_bytes_portable(a, b), host::pshufb(a, b)));
        if (kHostFeatures.sha) {
            REQUIRE(same(portable::sha1rnds4(a, b, 0), host::sha1rnds4<0>(a, b)));
            REQUIRE(same(portable::sha1rnds4(a, b, 1), host::sha1rnds4<1>(a, b)));
            REQUIRE(same(portable::sha1rnds4(a, b, 2), host::sha1rnds4<2>(a, b)));
            REQUIRE(same(portable::sha1rnds4(a, b, 3), host::sha1rnds4<3>(a, b)));
            REQUIRE(same(portable::sha1nexte(a, b), host::sha1nexte(a, b)));
            REQUIRE(same(portable::sha1msg1(a, b), host::sha1msg1(a, b)));
            REQUIRE(same(portable::sha1msg2(a, b), host::sha1msg2(a, b)));
            REQUIRE(same(portable::sha256msg1(a, b), host::sha256msg1(a, b)));
            REQUIRE(same(portable::sha256msg2(a, b), host::sha256msg2(a, b)));
            REQUIRE(same(portable::sha256rnds2(a, b, c), host::sha256rnds2(a, b, c)));
        }
    }
}
