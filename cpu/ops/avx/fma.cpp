// SPDX-License-Identifier: MIT
// Fused multiply-add (SDM 1 14.5): %[d] is the first source and the destination; the scalar forms keep its
// upper bits.
#include "cpu/ops/avx/avx_operand.h"

namespace shadowbox {

// clang-format off
#define SB_FMA_PACKED(op)                                              \
    SB_VEX(fma_##op##ps, SB_VEX_D, "vf" #op "ps")                      \
    SB_VEX(fma_##op##pd, SB_VEX_D, "vf" #op "pd")
#define SB_FMA_ALL(op)                                                 \
    SB_FMA_PACKED(op)                                                  \
    SB_VEX_LOW(fma_##op##ss, SB_VEX_D, "vf" #op "ss", 4)               \
    SB_VEX_LOW(fma_##op##sd, SB_VEX_D, "vf" #op "sd", 8)
#define SB_FMA_ORDER(order)                                            \
    SB_FMA_ALL(madd##order) SB_FMA_ALL(msub##order)                    \
    SB_FMA_ALL(nmadd##order) SB_FMA_ALL(nmsub##order)                  \
    SB_FMA_PACKED(maddsub##order) SB_FMA_PACKED(msubadd##order)
SB_FMA_ORDER(132)
SB_FMA_ORDER(213)
SB_FMA_ORDER(231)

}  // namespace shadowbox
