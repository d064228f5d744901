; Locked accesses beside and on a watched page with two vCPUs; each has its own breakpoints.  vcpus: 2
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
%define AP_PAGE 0x9000
%define W 0x30100
%macro ICR 2
    mov ecx, 0x830
    mov eax, %2
    mov edx, %1
    wrmsr
%endmacro
    STEP_LOG
    CHECKPOINT 1
    mov ecx, 0x1B
    rdmsr
    or eax, 0xC00
    wrmsr
    mov esi, ap_code
    mov edi, AP_PAGE
    mov ecx, ap_end - ap_code
    rep movsb
    mov dword [0xA000], 0
    mov dword [W], 0
    mov dword [W + 4], 0
    ICR 1, 0x4500                   ; INIT
    ICR 1, 0x4600 | (AP_PAGE >> 12)
    mov ecx, 100000
.wait:
    pause
    cmp dword [0xA000], 0x600DBEEF
    je .up
    loop .wait
    ud2
.up:
    CHECKPOINT 2                    ; the other vCPU adds to both words meanwhile, without breakpoints of its own
    ARM 0, W, 1, 3
    NO_TRAPS
    mov dword [0xA004], 1
    mov ecx, 500
.add:
    lock inc dword [W]
.added:
    lock inc dword [W + 4]
    lock inc dword [W + 0x200]
    loop .add
    DISARM
    TRAPS 500
    TRAP 0, .added
    TRAP 499, .added
    mov ecx, 1000000
.both:
    cmp dword [0xA008], 1
    je .counted
    pause
    loop .both
    ud2
.counted:
    CHECKPOINT 3
    cmp dword [W], 1000
    CHECK e
    cmp dword [W + 4], 1000
    CHECK e
    PASS
    bits 16
ap_code:
    mov ax, 0x3000
    mov ds, ax
    xor ax, ax
    mov es, ax
    mov dword [es:0xA000], 0x600DBEEF
.go:
    pause
    cmp dword [es:0xA004], 1
    jne .go
    mov cx, 500
.add:
    lock inc dword [0x100]
    lock inc dword [0x104]
    loop .add
    mov dword [es:0xA008], 1
.end:
    hlt
    jmp .end
ap_end:
