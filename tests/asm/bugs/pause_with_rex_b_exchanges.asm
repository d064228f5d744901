; F3 41 90 did nothing: with REX.B it is XCHG R8D, EAX, not PAUSE.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    mov eax, 1
    mov r8d, 2
    db 0xF3, 0x41, 0x90
    cmp eax, 2
    CHECK e
    cmp r8d, 1
    CHECK e
    db 0xF3, 0x90
    cmp eax, 2
    CHECK e
    PASS
