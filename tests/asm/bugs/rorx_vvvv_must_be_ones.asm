; RORX with VEX.vvvv other than 1111 executed; it is #UD.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    FAULTS 6, 0, db 0xC4, 0xE3, 0x73, 0xF0, 0xC0, 0x04
    mov eax, 0x10
    rorx ecx, eax, 4
    cmp ecx, 1
    CHECK e
    PASS
