; vcpus: 2  INIT and SIPI start a second vCPU in real mode; it works, sends an IPI back, and is stopped by a second INIT.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define AP_PAGE 0x9000
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
    mov ecx, 0x80F
    mov eax, 0x1FF
    xor edx, edx
    wrmsr
    SET_GATE 0x40, isr40, 0x8E00
    mov esi, ap_code
    mov edi, AP_PAGE
    mov ecx, ap_end - ap_code
    rep movsb
    CHECKPOINT 2
    ICR 1, 0x4500               ; INIT
    ICR 1, 0x4600 | (AP_PAGE >> 12)
    mov ecx, 10000
.wait:
    pause
    cmp dword [0xA000], 0x600DBEEF
    je .up
    loop .wait
    ud2
.up:
    CHECKPOINT 3                ; locked additions from both sides
    mov ecx, 1000
.add:
    lock inc dword [0xA004]
    loop .add
    mov ecx, 100000
.both:
    cmp dword [0xA008], 1
    je .counted
    pause
    loop .both
    ud2
.counted:
    cmp dword [0xA004], 2000
    CHECK e
    CHECKPOINT 4                ; its IPI wakes us
    mov dword [0xA00C], 1
    sti
    hlt
    cli
    cmp dword [got_ipi], 1
    CHECK e
    CHECKPOINT 5                ; CPUID topology
    mov eax, 1
    cpuid
    shr ebx, 24
    test ebx, ebx
    CHECK z
    cmp dword [0xA010], 1
    CHECK e
    PASS
isr40:
    push rax
    push rcx
    push rdx
    inc dword [got_ipi]
    mov ecx, 0x80B
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq
got_ipi: dd 0
    bits 16
ap_code:
    mov ax, cs
    mov ds, ax
    cmp ax, AP_PAGE >> 4
    jne .stuck
    xor ax, ax
    mov ds, ax
    mov eax, 1
    cpuid
    shr ebx, 24
    mov [0xA010], ebx
    mov dword [0xA000], 0x600DBEEF
    mov cx, 1000
.add:
    lock inc dword [0xA004]
    loop .add
    mov dword [0xA008], 1
.wait:
    cmp dword [0xA00C], 1
    jne .wait
    mov ecx, 0x1B
    rdmsr
    or eax, 0xC00
    wrmsr
    mov ecx, 0x830
    mov eax, 0x4040
    xor edx, edx
    wrmsr
.stuck:
    cli
    hlt
ap_end:
