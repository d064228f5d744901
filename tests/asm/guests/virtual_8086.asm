; Virtual-8086 mode: entry by IRET, IOPL-sensitive instructions, VME with its redirection bitmap and virtual IF, port bitmap, exit.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define V86 0x10000
    CHECKPOINT 1
    mov esi, v86_code
    mov edi, V86
    mov ecx, v86_end - v86_code
    rep movsb
    ; a TSS with a redirection bitmap: 32 bytes before the I/O bitmap
    mov word [big_tss + 0x66], 0x88
    mov eax, big_tss
    mov [gdt_more + 2], ax
    mov word [gdt_more], 0x88 + 32 + 1
    shr eax, 16
    mov [gdt_more + 4], al
    mov byte [gdt_more + 5], 0x89
    mov eax, 0x30
    ltr ax
    mov word [0x60 * 4], isr60 - v86_code       ; real-mode vectors 60 and 61
    mov word [0x60 * 4 + 2], V86 >> 4
    mov byte [big_tss + 0x68 + 0x61 / 8], 1 << (0x61 & 7)   ; 61: to protected mode
    mov eax, cr4
    or eax, 1                                   ; VME
    mov cr4, eax
    SET_GATE 0x61, from_v86, 0xEE
    SET_GATE 13, gp, 0x8E
    mov esp, STACK0 - 0x800
    push 0                                      ; GS FS DS ES
    push 0
    push V86 >> 4
    push V86 >> 4
    push 0x3000                                 ; SS:SP
    push 0x0800
    push 0x20002                                ; VM, IOPL 0
    push V86 >> 4
    push 0
    iretd
gp:                                             ; from virtual-8086 mode: error, EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS
    push eax
    mov eax, DATA0
    mov ds, eax
    cmp dword [esp + 4], 0
    jne .bad
    test dword [esp + 16], 0x20000
    jz .bad
    inc dword [gps]
    cmp dword [gps], 5                          ; INT 61: to protected mode, which IOPL 0 makes a #GP
    je .leave
    mov eax, [esp + 8]
    mov [gp_ip], eax
    movzx eax, word [gp_skip]
    add [esp + 8], eax
    pop eax
    add esp, 4
    iretd
.leave:
    pop eax
    add esp, 4
    jmp from_v86
.bad:
    jmp unexpected
from_v86:
    mov eax, DATA0
    mov ds, eax
    mov es, eax
    mov eax, ds
    CHECKPOINT 20
    cmp dword [esp + 4], V86 >> 4               ; CS
    CHECK e
    cmp dword [esp + 16], 0x3000                ; SS
    CHECK e
    cmp dword [esp + 24], V86 >> 4              ; DS
    CHECK e
    mov eax, fs
    test eax, eax
    CHECK z
    CHECKPOINT 21
    cmp dword [gps], 5
    CHECK e
    cmp word [V86 + result - v86_code], 0x1234
    CHECK e
    CHECKPOINT 22                               ; VIF was set and cleared
    cmp word [V86 + flags1 - v86_code], 0x3202  ; IF image set, IOPL reads 3
    CHECK e
    cmp word [V86 + flags2 - v86_code], 0x3002
    CHECK e
    CHECKPOINT 23                               ; INT 60 went to the real-mode handler, inside the mode
    cmp word [V86 + seen60 - v86_code], 0x60
    CHECK e
    PASS
gps: dd 0
gp_ip: dd 0
gp_skip: dw 0
    align 16
big_tss:
    dd 0, STACK0 - 0x400, DATA0
    times 23 dd 0
    times 32 db 0
    times 64 db 0xFF
    bits 16
v86_code:
    mov word [result - v86_code], 0x1234
    sti
    pushf
    pop word [flags1 - v86_code]
    cli
    pushf
    pop word [flags2 - v86_code]
    int 0x60
    xor ax, ax
    mov fs, ax
    mov word [fs:gp_skip], 1
    hlt                                         ; #GP
    mov word [fs:gp_skip], 2
    in al, 0xF5                                 ; closed port: #GP
    mov word [fs:gp_skip], 3
    mov eax, cr0                                ; #GP
    mov word [fs:gp_skip], 2
    db 0x66, 0x9C                               ; PUSHFD is not virtualized: #GP
    xor eax, eax
    int 0x61
isr60:
    mov word [cs:seen60 - v86_code], 0x60
    iret
result: dw 0
flags1: dw 0
flags2: dw 0
seen60: dw 0
v86_end:
