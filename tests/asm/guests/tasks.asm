; Hardware tasks: JMP and CALL to a TSS and a task gate, IRET with NT, a task gate in the IDT, busy bits, links, the T bit, faults.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define MORE(n) (gdt_more + (n) * 8)
%define SEL(n) (0x30 + (n) * 8)
%macro TSS_DESC 2               ; index, address
    mov eax, %2
    mov word [MORE(%1)], 0x67
    mov [MORE(%1) + 2], ax
    shr eax, 16
    mov [MORE(%1) + 4], al
    mov byte [MORE(%1) + 5], 0x89
    mov byte [MORE(%1) + 6], 0
    mov [MORE(%1) + 7], ah
%endmacro
    CHECKPOINT 1
    TSS_DESC 0, task_a
    TSS_DESC 1, task_b
    TSS_DESC 2, task_c
    mov dword [MORE(3)], SEL(1) << 16           ; task gate to B
    mov dword [MORE(3) + 4], 0x0000E500
    CHECKPOINT 2                                ; JMP to a TSS and back
    mov ebx, 0xB0B0B0B0
    jmp SEL(0):0
after_jmp:
    cmp ebx, 0xB0B0B0B0
    CHECK e
    test byte [gdt + TSS + 5], 2                ; busy again
    CHECK nz
    test byte [MORE(0) + 5], 2
    CHECK z
    mov eax, cr0
    test al, 8                                  ; TS
    CHECK nz
    clts
    CHECKPOINT 3                                ; CALL through a task gate; IRET comes back
    call SEL(3):0
    pushfd
    pop eax
    test eax, 0x4000                            ; NT is the caller's: clear
    CHECK z
    test byte [MORE(1) + 5], 2
    CHECK z
    cmp word [task_b], TSS                      ; the link
    CHECK e
    cmp dword [task_b + 0x24], 0                ; its EFLAGS were saved, NT cleared
    CHECK ne
    test dword [task_b + 0x24], 0x4000
    CHECK z
    CHECKPOINT 4                                ; a task gate in the IDT, with an error code
    mov dword [IDT + 13 * 8], SEL(2) << 16
    mov dword [IDT + 13 * 8 + 4], 0x00008500
    mov eax, 0x7F8
gp_insn:
    mov es, eax                                 ; #GP(7F8): task C skips it
after_gp:
    cmp dword [got_error_c], 0x7F8
    CHECK e
    cmp dword [tss + 0x20], after_gp
    CHECK e
    CHECKPOINT 5                                ; a busy task cannot be entered
    SET_GATE 13, stubs + 13 * STUB_SIZE, 0x8E
    FAULTS 13, TSS, jmp TSS:0
    CHECKPOINT 6                                ; too small a TSS
    mov word [MORE(0)], 0x66
    FAULTS 10, SEL(0), jmp SEL(0):0
    mov word [MORE(0)], 0x67
    CHECKPOINT 7                                ; not present
    and byte [MORE(0) + 5], 0x7F
    FAULTS 11, SEL(0), jmp SEL(0):0
    or byte [MORE(0) + 5], 0x80
    CHECKPOINT 8                                ; the T bit: #DB before the task's first instruction
    mov word [task_a + 0x64], 1
    mov dword [task_a + 0x20], trapped
    mov dword [expect_vector], 1
    mov dword [resume], after_trap
    mov dword [expect_error], 0
    jmp SEL(0):0
trapped:
    ud2
after_trap:
    cmp dword [got_rip], trapped
    CHECK e
    mov eax, dr6
    test eax, 0x8000
    CHECK nz
    str eax
    cmp eax, SEL(0)
    CHECK e
    PASS

entry_a:
    str eax
    cmp eax, SEL(0)
    CHECK e
    test byte [gdt + TSS + 5], 2
    CHECK z
    cmp ecx, 0xC0C0C0C0
    CHECK e
    cmp dword [tss + 0x34], 0xB0B0B0B0          ; EBX of the old task
    CHECK e
    cmp dword [tss + 0x20], after_jmp
    CHECK e
    jmp TSS:0
entry_b:
    pushfd
    pop eax
    test eax, 0x4000
    CHECK nz
    test byte [gdt + TSS + 5], 2                ; the caller stays busy
    CHECK nz
    iretd
    jmp entry_b
entry_c:
    pop dword [got_error_c]
    add dword [tss + 0x20], after_gp - gp_insn
    iretd
    jmp entry_c
got_error_c: dd 0
    align 16
%macro TASK 2                   ; EIP, ESP
    times 7 dd 0
    dd 0                        ; CR3
    dd %1, 0x2, 0, 0xC0C0C0C0, 0, 0, %2, 0, 0, 0
    dd DATA0, CODE0, DATA0, DATA0, 0, 0, 0
    dw 0, 0x68
%endmacro
task_a: TASK entry_a, 0x5000
task_b: TASK entry_b, 0x4C00
task_c: TASK entry_c, 0x4800
