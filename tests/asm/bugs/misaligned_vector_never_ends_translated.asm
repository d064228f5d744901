; Translated MOVAPS of a misaligned operand asked for the page for ever instead of raising #GP: the page was there, and the probe failed again.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    mov edi, buffer
    CHECKPOINT 1
    FAULTS 13, 0, movaps xmm0, [rdi + 8]
    CHECKPOINT 2
    FAULTS 13, 0, movaps [rdi + 4], xmm0
    CHECKPOINT 3
    FAULTS 13, 0, paddd xmm1, [rdi + 1]
    CHECKPOINT 4
    movaps xmm0, [rdi]
    movaps [rdi + 16], xmm0
    cmp qword [rdi + 16], 0x1234
    CHECK e
    PASS
    align 16
buffer: dq 0x1234, 0, 0, 0, 0, 0
