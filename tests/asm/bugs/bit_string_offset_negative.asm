; BTS m32, r32 with a negative offset went up by 512 MiB instead of down: the offset lost its sign.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    mov dword [cell - 4], 0
    mov eax, -1                 ; bit 31 of the dword below
    bts [cell], eax
    cmp dword [cell - 4], 0x80000000
    CHECK e
    CHECKPOINT 2
    mov ax, -17
    lock btc [cell], ax
    cmp dword [cell - 4], 0x80008000
    CHECK e
    PASS
    dd 0
cell: dd 0
