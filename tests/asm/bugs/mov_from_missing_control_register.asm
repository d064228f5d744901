; MOV from CR1 or CR7 at CPL 3 was #GP; a register that does not exist is #UD at any level. SYSENTER in real mode was #UD; it is #GP.
; SPDX-License-Identifier: MIT
%include "real16.inc"
    mov word [13 * 4], .gp
    CHECKPOINT 1
    sysenter
    jmp fail
.gp:
    mov word [6 * 4], .ud
    mov word [13 * 4], fail
    CHECKPOINT 2
    db 0x0F, 0x20, 0xF8         ; MOV EAX, CR7
    jmp fail
.ud:
    PASS
