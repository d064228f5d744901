; Self-modifying code: the next instruction, one later in the same block, the same instruction, another page through an alias,
; an instruction over a page boundary, and a REP that overwrites what follows it.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define ELSEWHERE 0x12000
    CHECKPOINT 1                ; the next instruction, many times
    mov ecx, 50
.loop:
    mov [.next + 1], cl
    jmp short .next             ; the manual asks for a jump
.next:
    mov al, 0
    cmp al, cl
    CHECK e
    loop .loop
    CHECKPOINT 2                ; without a jump, as processors do it
    mov ecx, 50
.loop2:
    mov [.next2 + 1], cl
.next2:
    mov al, 0
    cmp al, cl
    CHECK e
    loop .loop2
    CHECKPOINT 3                ; code copied to another page, run, changed there, run
    mov esi, .piece
    mov edi, ELSEWHERE
    mov ecx, .piece_end - .piece
    rep movsb
    call ELSEWHERE
    cmp eax, 0x11
    CHECK e
    mov byte [ELSEWHERE + 1], 0x22
    call ELSEWHERE
    cmp eax, 0x22
    CHECK e
    jmp .past_piece
.piece:
    mov eax, 0x11
    ret
.piece_end:
.past_piece:
    CHECKPOINT 4                ; an instruction across a page boundary: either half changes
    mov byte [ELSEWHERE + 0xFFD], 0xB8  ; mov eax, imm32: opcode and two bytes here, two bytes there
    mov dword [ELSEWHERE + 0xFFE], 0x04030201
    mov byte [ELSEWHERE + 0x1002], 0xC3
    call ELSEWHERE + 0xFFD
    cmp eax, 0x04030201
    CHECK e
    mov byte [ELSEWHERE + 0x1001], 0x44
    call ELSEWHERE + 0xFFD
    cmp eax, 0x44030201
    CHECK e
    mov byte [ELSEWHERE + 0xFFE], 0x11
    call ELSEWHERE + 0xFFD
    cmp eax, 0x44030211
    CHECK e
    CHECKPOINT 5                ; paging on: the code page written through another linear address
    mov edi, 0x20000
    xor eax, eax
    mov ecx, 0x800
    rep stosd
    mov dword [0x20000], 0x83
    mov dword [0x20004], 0x21007
    mov dword [0x21000], ELSEWHERE | 7  ; 400000
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
    mov byte [0x400001], 0x33
    call ELSEWHERE
    cmp eax, 0x33
    CHECK e
    mov byte [ELSEWHERE + 1], 0x34
    call 0x400000
    cmp eax, 0x34
    CHECK e
    CHECKPOINT 6                ; the mapping of a code page changes, the bytes do not
    mov byte [0x13000], 0xB8
    mov dword [0x13001], 0x55
    mov byte [0x13005], 0xC3
    call 0x400000
    mov dword [0x21000], 0x13000 | 7
    invlpg [0x400000]
    call 0x400000
    cmp eax, 0x55
    CHECK e
    CHECKPOINT 7                ; REP STOS over the instructions behind it
    mov edi, .filled
    mov ecx, 8
    mov al, 0x43                ; inc ebx
    xor ebx, ebx
    rep stosb
.filled:
    times 4 ud2
    cmp ebx, 8
    CHECK e
    CHECKPOINT 8                ; an instruction that overwrites itself ends as it began
    mov edi, .itself
    mov eax, 0x90909090
.itself:
    mov [edi], eax              ; 89 07 and what follows: two NOPs the next time
    nop
    nop
    cmp dword [.itself], 0x90909090
    CHECK e
    PASS
