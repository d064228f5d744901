; Interrupts: STI and MOV SS shadows, NMI blocking until IRET, x2APIC self-IPIs and priorities, LAPIC timer, TSC deadline, HLT wake.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%macro X2WRITE 2
    mov ecx, %1
    mov eax, %2
    xor edx, edx
    wrmsr
%endmacro
%macro CLEAR_COUNTS 0
    mov qword [count40], 0
    mov qword [count50], 0
    mov qword [last_rip], 0
%endmacro
    CHECKPOINT 1                ; x2APIC on; xAPIC registers by MSR
    mov ecx, 0x1B
    rdmsr
    test eax, 0x800
    CHECK nz
    or eax, 0xC00
    wrmsr
    mov ecx, 0x802
    rdmsr
    test eax, eax
    CHECK z
    X2WRITE 0x80F, 0x1FF        ; spurious vector, enable
    SET_GATE 0x40, isr40, 0x8E00
    SET_GATE 0x50, isr50, 0x8E00
    SET_GATE 2, nmi, 0x8E00
    CHECKPOINT 2                ; a self-IPI waits for IF, and STI lets one more instruction run
    CLEAR_COUNTS
    X2WRITE 0x83F, 0x40
    nop
    cmp qword [count40], 0
    CHECK e
    mov ebx, 0
    sti
    inc ebx
.after_shadow:
    cli
    cmp qword [count40], 1
    CHECK e
    cmp qword [last_rip], .after_shadow
    CHECK e
    CHECKPOINT 3                ; STI; CLI lets nothing in
    CLEAR_COUNTS
    X2WRITE 0x83F, 0x40
    sti
    cli
    cmp qword [count40], 0
    CHECK e
    sti
    nop
    cli
    cmp qword [count40], 1
    CHECK e
    CHECKPOINT 4                ; MOV SS holds interrupts back for one instruction
    CLEAR_COUNTS
    mov r8d, ss
    X2WRITE 0x83F, 0x40
    sti
    mov ss, r8d
    inc ebx
.after_ss:
    cli
    cmp qword [last_rip], .after_ss
    CHECK e
    CHECKPOINT 5                ; the higher vector first; the lower one after its EOI
    CLEAR_COUNTS
    X2WRITE 0x83F, 0x40
    X2WRITE 0x83F, 0x50
    mov dword [order], 0
    sti
    nop
    nop
    cli
    cmp dword [order], 0x5040
    CHECK e
    CHECKPOINT 6                ; TPR masks by class
    CLEAR_COUNTS
    mov eax, 4
    mov cr8, rax
    X2WRITE 0x83F, 0x40
    X2WRITE 0x83F, 0x50
    sti
    nop
    nop
    cli
    cmp qword [count40], 0
    CHECK e
    cmp qword [count50], 1
    CHECK e
    xor eax, eax
    sti
    mov cr8, rax
    nop
    cli
    cmp qword [count40], 1
    CHECK e
    CHECKPOINT 7                ; HLT wakes by the one-shot timer
    CLEAR_COUNTS
    X2WRITE 0x83E, 0xB          ; divide by 1
    X2WRITE 0x832, 0x40
    X2WRITE 0x838, 5000
    sti
    hlt
.after_hlt:
    cli
    cmp qword [count40], 1
    CHECK e
    cmp qword [last_rip], .after_hlt
    CHECK e
    mov ecx, 0x839
    rdmsr
    test eax, eax
    CHECK z
    CHECKPOINT 8                ; a busy loop is interrupted by the periodic timer, several times
    CLEAR_COUNTS
    X2WRITE 0x832, 0x20040
    X2WRITE 0x838, 1000
    sti
.spin:
    cmp qword [count40], 5
    jb .spin
    cli
    X2WRITE 0x832, 0x10040      ; masked
    X2WRITE 0x838, 0
    CHECKPOINT 9                ; TSC deadline
    CLEAR_COUNTS
    X2WRITE 0x832, 0x40040
    rdtsc
    shl rdx, 32
    add rax, rdx
    add rax, 3000
    mov r9, rax
    mov rdx, rax
    shr rdx, 32
    mov ecx, 0x6E0
    wrmsr
    rdmsr
    cmp eax, r9d
    CHECK e
    sti
    hlt
    cli
    cmp qword [count40], 1
    CHECK e
    rdtsc
    shl rdx, 32
    add rax, rdx
    cmp rax, r9
    CHECK ae
    mov ecx, 0x6E0
    rdmsr
    test eax, eax
    CHECK z
    CHECKPOINT 10               ; NMI: not masked by IF; blocked inside its handler until IRET
    mov qword [nmis], 0
    mov qword [nested], 0
    out 0xF6, al
    nop
    nop
    cmp qword [nmis], 2
    CHECK e
    cmp qword [nested], 0
    CHECK e
    CHECKPOINT 11               ; x2APIC: reserved registers and bits fault, legacy mode cannot be re-entered
    mov ecx, 0x80E
    FAULTS 13, 0, rdmsr
    mov ecx, 0x80B
    mov eax, 1
    xor edx, edx
    FAULTS 13, 0, wrmsr
    mov ecx, 0x1B
    rdmsr
    and eax, ~0x400
    FAULTS 13, 0, wrmsr
    PASS
isr40:
    inc qword [count40]
    mov dword [expect_vector], -1
    push rax
    push rcx
    push rdx
    mov rax, [rsp + 24]
    mov [last_rip], rax
    mov eax, [order]
    shl eax, 8
    or eax, 0x40
    mov [order], eax
    X2WRITE 0x80B, 0
    pop rdx
    pop rcx
    pop rax
    iretq
isr50:
    inc qword [count50]
    push rax
    push rcx
    push rdx
    mov eax, [order]
    shl eax, 8
    or eax, 0x50
    mov [order], eax
    X2WRITE 0x80B, 0
    pop rdx
    pop rcx
    pop rax
    iretq
nmi:
    inc qword [nmis]
    cmp qword [nmis], 1
    jne .second
    push rax
    out 0xF6, al                ; another: waits for this IRET
    nop
    nop
    cmp qword [nmis], 1
    je .blocked
    inc qword [nested]
.blocked:
    pop rax
.second:
    iretq
    align 8
count40: dq 0
count50: dq 0
last_rip: dq 0
nmis: dq 0
nested: dq 0
order: dd 0
