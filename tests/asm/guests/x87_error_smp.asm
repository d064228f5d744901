; vcpus: 2  With CR0.NE = 0 a second vCPU, whose FERR# nobody hears, stands before the waiting instruction until an interrupt comes.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define AP_PAGE 0x9000
%define STATE 0xA000            ; of the second vCPU: 1 before, 2 behind the waiting instruction
%define GOT 0xA004              ; its interrupts
%macro ICR 2
    mov ecx, 0x830
    mov eax, %2
    mov edx, %1
    wrmsr
%endmacro
    CHECKPOINT 1
    mov ecx, 0x1B
    rdmsr
    or eax, 0xC00
    wrmsr
    mov esi, ap_code
    mov edi, AP_PAGE
    mov ecx, ap_end - ap_code
    rep movsb
    ICR 1, 0x4500               ; INIT
    ICR 1, 0x4600 | (AP_PAGE >> 12)
    mov ecx, 10000
.wait:
    pause
    cmp dword [STATE], 1
    je .up
    loop .wait
    ud2
.up:
    CHECKPOINT 2                ; it stands
    mov ecx, 2000
.look:
    pause
    loop .look
    cmp dword [STATE], 1
    CHECK e
    CHECKPOINT 3                ; an interrupt that leaves the error: it stands again
    ICR 1, 0x4040
    mov ecx, 2000
.look2:
    pause
    loop .look2
    cmp dword [GOT], 1
    CHECK e
    cmp dword [STATE], 1
    CHECK e
    CHECKPOINT 4                ; one that clears it
    ICR 1, 0x4040
    mov ecx, 2000
.look3:
    pause
    loop .look3
    cmp dword [GOT], 2
    CHECK e
    cmp dword [STATE], 2
    CHECK e
    PASS
    bits 16
ap_code:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x9800
    mov word [0x40 * 4], AP_PAGE + ap_irq - ap_code
    mov word [0x40 * 4 + 2], 0
    mov ecx, 0x1B
    rdmsr
    or eax, 0xC00
    wrmsr
    mov ecx, 0x80F
    mov eax, 0x1FF
    xor edx, edx
    wrmsr
    mov eax, cr0
    and eax, ~0x2C              ; NE, TS, EM
    or al, 2                    ; MP
    mov cr0, eax
    fninit
    mov word [0xA010], 0x037B
    fldcw [0xA010]
    sti
    fld1
    fldz
    fdivp st1
    mov dword [STATE], 1
    fwait
    mov dword [STATE], 2
    cli
    hlt
ap_irq:
    inc dword [GOT]
    cmp dword [GOT], 2
    jb .leave
    fnclex
.leave:
    mov ecx, 0x80B
    xor eax, eax
    xor edx, edx
    wrmsr
    iret
ap_end:
