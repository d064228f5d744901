; BT, BTS, BTR, BTC with offsets in registers: all sizes, both ways, over page ends, by index, segment base and RIP, locked. host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define BITS 0x300FF8           ; its end is a page's
%macro NOTE 0                   ; CF and ZF into the sum
    pushfq
    pop rax
    and eax, 0x41
    rol r8, 3
    add r8, rax
%endmacro
%macro ALL 3                    ; size, memory, register
    cmp r9, r10
    bt %2, %3
    NOTE
    bts %2, %3
    NOTE
    lock bts %2, %3
    NOTE
    btc %2, %3
    NOTE
    lock btr %2, %3
    NOTE
    cmp r9, r9
    lock btc %2, %3
    NOTE
    btr %2, %3
    setc al
    lea r8, [r8 + r8 * 4]
    add r8b, al
    btc %2, %3
    NOTE
%endmacro
%macro REGISTERS 2
    cmp r9, r10
    bt %1, %2
    NOTE
    bts %1, %2
    NOTE
    cmp r9, r9
    btc %1, %2
    NOTE
    btr %1, %2
    NOTE
    btc %1, %2
    NOTE
    add r8, r14
    add r8, rsi
%endmacro
    mov ecx, 0xC0000101
    mov eax, 0x1000
    xor edx, edx
    wrmsr
    mov edi, BITS - 0x1000
    mov ecx, 0x2000 / 8
    mov rax, 0x0123456789ABCDEF
    cld
    rep stosq
    xor r8d, r8d
    mov r9d, 5
    mov r10d, 7
    mov ebx, BITS
    mov r13d, BITS - 0x40
    mov r12, -517
    mov ecx, 24
.loop:
    push rcx
    mov edx, ecx
    ALL q, [rbx], r12
    ALL d, [rbx], r12d
    ALL w, [rbx], r12w
    ALL q, [rbx + rcx * 2], rcx
    ALL d, [r13 + rcx * 4 + 3], edx
    ALL d, [rbx + 5], ecx
    ALL q, [rbx + 6], rdx
    ALL w, [rbx + 7], dx
    ALL q, [gs:rbx - 0x1000], r12
    ALL q, [rel here], rdx
    ALL d, [ebx], r12d
    REGISTERS r14, r13
    REGISTERS r14d, ecx
    REGISTERS r14w, cx
    REGISTERS rsi, r12
    pop rcx
    add r12, 97
    dec ecx
    jnz .loop
    CHECKPOINT 2                ; far away, both ways, and where no page is
    mov rdx, 0x80000            ; bits, 64 KiB
    bts [rbx], rdx
    test byte [rbx + 0x10000], 1
    CHECK nz
    neg rdx
    bts [rbx], rdx
    test byte [rbx - 0x10000], 1
    CHECK nz
    mov edx, -1
    and byte [rbx - 1], 0x7F
    bts [rbx], edx
    test byte [rbx - 1], 0x80
    CHECK nz
    mov rdx, 0x10000000 * 8
    FAULTS 14, 0, bt [rbx], rdx
    FAULTS 14, 2, bts [rbx], rdx
    FAULTS 14, 2, lock btr [rbx], rdx
    mov rdx, 0x7FFFFFFFFFFFFFFF ; EA as far as 2^60: not canonical
    FAULTS 13, 0, bt [rbx], rdx
    PASS
    align 8
here: times 16 dq 0x55
