; PUSHA over the start of a page reported the lowest address in CR2 and stored nothing; each word is pushed on its own.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
    CHECKPOINT 1
    mov edi, 0x20000
    xor eax, eax
    mov ecx, 0x800
    rep stosd
    mov dword [0x20000], 0x83
    mov dword [0x20004], 0x21007
    mov dword [0x21004], 0x101007       ; 401000; 400000 is absent
    mov eax, cr4
    or eax, 0x10
    mov cr4, eax
    mov eax, 0x20000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp short .paged
.paged:
    ; the #PF handler needs a stack of its own: a task gate would do, ring 3 is simpler
    mov byte [0x401100], 0x60           ; pusha
    SET_GATE 0x28, finished, 0xEE
    mov dword [expect_vector], 14
    mov dword [expect_error], 6
    mov dword [resume], 0x401200
    mov word [0x401200], 0x28CD
    mov eax, DATA3
    mov ds, eax
    push DATA3
    push 0x40100C
    push 2
    push CODE3
    push 0x401100
    mov eax, 0x11111111
    mov ecx, 0x22222222
    iretd
finished:
    mov eax, DATA0
    mov ds, eax
    cmp dword [got_cr2], 0x400FFC
    CHECK e
    cmp dword [esp + 12], 0x40100C      ; ESP as it was
    CHECK e
    cmp dword [0x401008], 0x11111111
    CHECK e
    cmp dword [0x401004], 0x22222222
    CHECK e
    PASS
