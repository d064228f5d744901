// SPDX-License-Identifier: MIT
// The rounds of AES, SHA and carry-less multiplication in portable C++: what the ops use on hosts without
// the instructions,
// and what the tests hold the host's instructions against.
#pragma once

#include "cpu/state/host_fpu.h"

namespace shadowbox::portable {

Xmm aesenc(Xmm state, Xmm key);
Xmm aesenclast(Xmm state, Xmm key);
Xmm aesdec(Xmm state, Xmm key);
Xmm aesdeclast(Xmm state, Xmm key);
Xmm aesimc(Xmm state);
/// AESKEYGENASSIST without its round constant.
Xmm aeskeygenassist(Xmm key);

/// Product of the low halves.
Xmm carryless_multiply(Xmm a, Xmm b);

Xmm sha1rnds4(Xmm a, Xmm b, unsigned function);
Xmm sha1nexte(Xmm a, Xmm b);
Xmm sha1msg1(Xmm a, Xmm b);
Xmm sha1msg2(Xmm a, Xmm b);
Xmm sha256rnds2(Xmm a, Xmm b, Xmm keys);
Xmm sha256msg1(Xmm a, Xmm b);
Xmm sha256msg2(Xmm a, Xmm b);

}  // namespace shadowbox::portable
