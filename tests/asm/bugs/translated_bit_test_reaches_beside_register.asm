; Translated BTS, BTR, BTC and BT of a register with a register's bit number beyond 63: the register lay in memory, and its neighbour changed.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%macro TRY 1
    mov %1, 0x10
    mov rdx, 0xFFFFFFFFFFFFFF00
    btc %1, rdx                     ; bit 0
    cmp %1, 0x11
    CHECK e
    mov rdx, 64 * 3 + 1
    bts %1, rdx                     ; bit 1
    cmp %1, 0x13
    CHECK e
    mov rdx, -60
    btr %1, rdx                     ; bit 4
    cmp %1, 3
    CHECK e
    mov rdx, 128
    bt %1, rdx                      ; bit 0
    CHECK c
%endmacro
    CHECKPOINT 1
    TRY rax
    CHECKPOINT 2
    TRY rdi
    CHECKPOINT 3
    TRY r8
    TRY r9
    TRY r10
    CHECKPOINT 4
    TRY r11
    TRY r12
    TRY r13
    CHECKPOINT 5
    TRY r14
    TRY r15
    PASS
