; INS and OUTS without REP, of every size, forward and backward, in a loop that gets hot, single-stepped, and at the end of a page
; SPDX-License-Identifier: MIT
%include "long64.inc"
    mov r12d, 40
.again:
    mov dx, 0xF8
    mov rdi, buffer
    insb
    insw
    insd
    cmp rdi, buffer + 7
    CHECKPOINT 1
    CHECK e
    mov eax, [buffer + 3]                       ; four bytes of the stream follow one another by 7
    mov ecx, eax
    shr ecx, 8
    sub cl, al
    cmp cl, 7
    CHECKPOINT 2
    CHECK e
    std
    insb
    cmp rdi, buffer + 6
    cld
    CHECKPOINT 3
    CHECK e
    mov dx, 0xF5
    mov rsi, buffer
    outsb
    outsw
    outsd
    cmp rsi, buffer + 7
    CHECKPOINT 4
    CHECK e
    std
    outsw
    cmp rsi, buffer + 5
    cld
    CHECKPOINT 5
    CHECK e
    lea rsi, [rel buffer]
    mov edi, 0x6000                             ; 32-bit address size
    a32 insb
    cmp rdi, 0x6001
    CHECKPOINT 6
    CHECK e
    dec r12d
    jnz .again
    ; Behind the last byte of a page lies the next one: nothing else may be taken for the next instruction.
    mov rdi, page_end - 2
    mov byte [rdi], 0x6C                        ; insb
    mov byte [rdi + 1], 0x6E                    ; outsb
    mov byte [rdi + 2], 0xC3                    ; ret, on the next page
    mov rdi, buffer
    mov rsi, buffer
    mov dx, 0xF5
    mov rax, page_end - 2
    mov ecx, 40
.calls:
    push rcx
    call rax
    pop rcx
    loop .calls
    cmp rdi, buffer + 40
    CHECKPOINT 7
    CHECK e
    cmp rsi, buffer + 40
    CHECK e
    PASS
    align 16
buffer: times 64 db 0
page_end equ 0xB000
