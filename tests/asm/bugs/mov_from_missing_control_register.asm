; MOV from CR1 or CR7 at CPL 3 was #GP; a register that does not exist is #UD at any level. SYSENTER in real mode was #UD; it is #GP.
; SPDX-License-Identifier: MIT
    bits 16
    org 0x7C00
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    mov word [13 * 4], gp
    mov word [13 * 4 + 2], 0
    mov word [6 * 4], fail
    mov word [6 * 4 + 2], 0
    sysenter
fail:
    mov al, 1
    out 0xF4, al
    cli
    hlt
gp:
    mov word [6 * 4], ud
    mov word [13 * 4], fail
    db 0x0F, 0x20, 0xF8         ; MOV EAX, CR7
    jmp fail
ud:
    xor ax, ax
    out 0xF4, al
    cli
    hlt
