; host clock: too  With CR0.NE = 0 an x87 error comes as IRQ 13, before the next waiting instruction; port F0H lets the handler go on.
; SPDX-License-Identifier: MIT
%include "real16.inc"
%define COUNT 0x8000            ; interrupts
%define WHERE 0x8002            ; what the last returned to
%define CLEAR 0x8004            ; 1: the handler clears the error
%define FAULTS 0x8006           ; vector 16
%macro DIVIDE_BY_ZERO 0
    fninit
    fldcw [unmask_zero]
    fld1
    fldz
    fdivp st1
    nop                         ; nobody waits yet
%endmacro
%macro CAME 2                   ; how many, where to
    cmp word [COUNT], %1
    CHECK e
    cmp word [WHERE], %2
    CHECK e
%endmacro
    CHECKPOINT 1
    mov ecx, 0x1B               ; without a local APIC: INTR comes from the PIC
    rdmsr
    and eax, ~0x800
    wrmsr
    mov word [0x75 * 4], irq13
    mov word [0x10 * 4], fault16
    mov eax, cr0
    and eax, ~0x2C              ; NE, TS, EM
    or al, 2                    ; MP
    mov cr0, eax
    mov word [COUNT], 0
    mov word [FAULTS], 0
    sti
    CHECKPOINT 2                ; FWAIT
    mov word [CLEAR], 1
    DIVIDE_BY_ZERO
    cmp word [COUNT], 0
    CHECK e
waiting2:
    fwait
    CAME 1, waiting2
    CHECKPOINT 3                ; an x87 instruction that goes on under IGNNE#, and the next ones
    mov word [CLEAR], 0
    DIVIDE_BY_ZERO
waiting3:
    fld1
    CAME 2, waiting3
    fld1
    fcompp
    fnstsw ax
    test al, 0x80
    CHECK nz
    CAME 2, waiting3
    CHECKPOINT 4                ; once the error is gone IGNNE# is too; MMX waits as well
    fnclex
    DIVIDE_BY_ZERO
waiting4:
    movd mm0, eax
    CAME 3, waiting4
    fnclex
    emms
    CHECKPOINT 5                ; port F0H without an error does nothing
    out 0xF0, al
    mov word [CLEAR], 1
    DIVIDE_BY_ZERO
waiting5:
    fldpi
    CAME 4, waiting5
    CHECKPOINT 6                ; whichever instruction clears the error: FNSAVE, FNSTENV, FLDCW that masks
    mov word [CLEAR], 0
    DIVIDE_BY_ZERO
waiting6:
    fwait
    fnsave [0x8100]
    DIVIDE_BY_ZERO
waiting6b:
    fwait
    CAME 6, waiting6b
    fnstenv [0x8100]
    DIVIDE_BY_ZERO
waiting6c:
    fwait
    CAME 7, waiting6c
    fldcw [masked]
    DIVIDE_BY_ZERO
waiting6d:
    fwait
    CAME 8, waiting6d
    fnclex
    CHECKPOINT 7                ; NE = 1: #MF, no interrupt
    mov eax, cr0
    or al, 0x20
    mov cr0, eax
    DIVIDE_BY_ZERO
    fwait
    cmp word [FAULTS], 1
    CHECK e
    cmp word [COUNT], 8
    CHECK e
    CHECKPOINT 8                ; often
    mov eax, cr0
    and al, ~0x20
    mov cr0, eax
    mov word [CLEAR], 1
    mov cx, 20
.again:
    DIVIDE_BY_ZERO
    fwait
    loop .again
    cmp word [COUNT], 28
    CHECK e
    PASS
irq13:
    push ax
    push bp
    mov bp, sp
    mov ax, [bp + 4]
    mov [WHERE], ax
    inc word [COUNT]
    out 0xF0, al
    cmp word [CLEAR], 0
    je .leave
    fnclex
.leave:
    pop bp
    pop ax
    iret
fault16:
    inc word [FAULTS]
    fnclex
    iret
unmask_zero: dw 0x037B
masked: dw 0x037F
