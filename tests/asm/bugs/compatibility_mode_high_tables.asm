; A fault in compatibility mode with IDT, GDT and stack above 4 GiB was a triple fault: the addresses were cut to 32 bits.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    mov qword [PML4 + 511 * 8], PDPT | 7
    mov qword [PDPT + 510 * 8], PD | 7
    mov rax, 0xFFFFFFFF80000000
    add [idt_pointer + 2], rax
    lidt [idt_pointer]
    movzx ebx, word [gdt_pointer + 2]
    add rbx, rax
    mov [gdt_pointer + 2], rbx
    lgdt [gdt_pointer]
    add [tss + 4], rax
    mov rdi, USER
    mov rsi, user_code
    mov ecx, user_end - user_code
    rep movsb
    SET_GATE 0x28, finished, 0xEE00
    mov dword [expect_vector], 13
    mov dword [expect_error], 0
    mov qword [resume], USER + (user_after - user_code)
    push DATA3
    push USER + 0x1000
    push 0x2
    push CODE32U
    push USER
    iretq
    bits 32
user_code:
    hlt
user_after:
    mov eax, 0x28
    int 0x28
user_end:
    bits 64
finished:
    cmp qword [got_rip], USER
    CHECK e
    cmp dword [got_cs], CODE32U
    CHECK e
    PASS
