; host clock: too  Four levels of page tables, IDT, GDT and TSS lie in a device's memory (A0000H), 64-bit mode, with a user program.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define NEW_PML4 0xA0000
%define NEW_PDPT 0xA1000
%define NEW_PD 0xA2000
%define NEW_PT 0xA3000
%define NEW_IDT 0xA4000
%define NEW_GDT 0xA5000
%define NEW_TSS 0xA5F80         ; across two pages
    CHECKPOINT 1                ; page tables
    mov edi, NEW_PML4
    xor eax, eax
    mov ecx, 0x4000 / 8
    rep stosq
    mov esi, PD
    mov edi, NEW_PD
    mov ecx, 8
.copy:
    mov rax, [rsi]
    and al, ~0x60
    mov [rdi], rax
    add esi, 8
    add edi, 8
    loop .copy
    mov dword [NEW_PD + 0x40], NEW_PT | 7           ; 1000000H: 4 KiB pages
    mov dword [NEW_PT], 0x300000 | 7
    mov dword [NEW_PT + 8], 0x301000 | 5
    mov dword [NEW_PDPT], NEW_PD | 7
    mov dword [NEW_PML4], NEW_PDPT | 7
    mov eax, NEW_PML4
    mov cr3, rax
    test byte [NEW_PML4], 0x20
    CHECK nz
    test byte [NEW_PDPT], 0x20
    CHECK nz
    CHECKPOINT 2                ; A and D
    mov eax, [0x1000000]
    test byte [NEW_PT], 0x40
    CHECK z
    test byte [NEW_PT], 0x20
    CHECK nz
    mov ecx, 100
.often:
    lock inc qword [0x1000008]
    loop .often
    cmp qword [0x300008], 100
    CHECK e
    test byte [NEW_PT], 0x40
    CHECK nz
    FAULTS 14, 3, mov [0x1001000], eax
    FAULTS 14, 0, mov eax, [0x1002000]
    CHECKPOINT 3                ; descriptor tables and TSS
    mov esi, gdt
    mov edi, NEW_GDT
    mov ecx, gdt_end - gdt
    rep movsb
    mov word [NEW_GDT + TSS + 2], NEW_TSS & 0xFFFF
    mov byte [NEW_GDT + TSS + 4], NEW_TSS >> 16
    mov byte [NEW_GDT + TSS + 5], 0x89
    mov byte [NEW_GDT + CODE3 - 3 + 5], 0xFA
    mov byte [NEW_GDT + DATA3 - 3 + 5], 0xF2
    mov esi, tss
    mov edi, NEW_TSS
    mov ecx, 0x68
    rep movsb
    mov esi, IDT
    mov edi, NEW_IDT
    mov ecx, 0x1000
    rep movsb
    lgdt [new_gdt]
    lidt [new_idt]
    mov eax, TSS
    ltr ax
    test byte [NEW_GDT + TSS + 5], 2
    CHECK nz
    FAULTS 6, 0, ud2
    mov byte [NEW_IDT + 6 * 16 + 4], 1              ; by IST1
    FAULTS 6, 0, ud2
    cmp qword [handler_rsp], 0x5000 - 64
    CHECK e
    CHECKPOINT 4                ; a user program and back, by gates and stacks read there
    mov rax, user_back
    mov [NEW_IDT + 0x31 * 16], ax
    mov word [NEW_IDT + 0x31 * 16 + 2], CODE0
    mov word [NEW_IDT + 0x31 * 16 + 4], 0xEE00
    shr rax, 16
    mov [NEW_IDT + 0x31 * 16 + 6], ax
    mov dword [NEW_IDT + 0x31 * 16 + 8], 0
    mov word [USER], 0x31CD                         ; int 31h
    mov ebp, 20
user_again:
    push DATA3
    push USER + 0x8000
    push 2
    push CODE3
    push USER
    iretq
user_back:
    cmp rsp, STACK0 - 40
    CHECK e
    dec ebp
    jnz user_again
    test byte [NEW_GDT + CODE3 - 3 + 5], 1
    CHECK nz
    test byte [NEW_GDT + DATA3 - 3 + 5], 1
    CHECK nz
    PASS
new_gdt:
    dw gdt_end - gdt - 1
    dq NEW_GDT
new_idt:
    dw 0xFFF
    dq NEW_IDT
