; Far jumps between 64-bit, 32-bit and 16-bit code of long mode in hot loops: what each leaves in wide registers, stacks, addresses.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define SEL(n) (0x48 + (n) * 8)
%define AREA 0x30000
    mov dword [gdt_more], 0x0000FFFF            ; 16-bit code, base 30000
    mov dword [gdt_more + 4], 0x00009B03
    mov dword [gdt_more + 8], 0x0000FFFF        ; data, base 30000, limit FFFF
    mov dword [gdt_more + 12], 0x00409303
    mov esi, code16
    mov edi, AREA + 0x100
    mov ecx, code16_end - code16
    rep movsb
    CHECKPOINT 1                                ; 64 to 32 to 16 to 32 to 64
    mov r12d, 40
    mov r13, 0x1122334455667788
.round:
    mov rax, 0xFFFFFFFF00000005
    mov rbx, 0xAAAAAAAA00000001
    mov rdx, 0xBBBBBBBB0000FFFF
    mov rsi, 0xCCCCCCCC00000000 + marker
    mov rbp, 0xDDDDDDDD00000000 + marker - 4
    jmp dword far [to32]
back:
    mov r8, 0x1122334455667788
    cmp r13, r8
    CHECK e
    cmp rax, 6                                  ; 32-bit results clear the upper half
    CHECK e
    mov r8, 0xAAAAAAAA00000002                  ; 16-bit ones leave it
    cmp rbx, r8
    CHECK e
    mov r8, 0xBBBBBBBB00000000
    cmp rdx, r8
    CHECK e
    cmp edi, 0x600DF00D
    CHECK e
    cmp dword [AREA + 0x40], 0x600DF00D
    CHECK e
    cmp r14d, 0
    CHECK e
    cmp rsp, STACK0 - 0x800
    CHECK e
    dec r12d
    jnz start64.round
    CHECKPOINT 2                                ; a hot loop of RETF between 64 and 32
    mov r12d, 60
.returns:
    mov rax, 0x123456789
    lea rbx, [rel .from32]
    push rbx
    push CODE32
    lea rbx, [rel add32]
    push rbx
    retfq
.from32:
    cmp rax, 0x2345678A
    CHECK e
    dec r12d
    jnz .returns
    PASS
    align 8
to32:
    dd code32
    dw CODE32
    align 8
marker: dd 0x600DF00D, 0
    bits 32
code32:
    inc eax
    mov edi, [esi]                              ; the upper half of RSI is not part of the address
    cmp edi, [ebp + 4]                          ; nor RBP's, through SS
    jne wrong32
    push edi
    pop dword [scratch]
    cmp edi, [scratch]
    jne wrong32
    jmp SEL(0):0x100
from16:
    mov ecx, SEL(1)
    mov es, ecx
    mov [es:0x40], edi
    mov ecx, DATA0
    mov es, ecx
    jmp CODE0:back
add32:
    add eax, 0xFFFFFFFF
    jnc wrong32
    inc eax
    inc eax
    jmp far [far_back]
wrong32:
    ud2
scratch: dd 0
far_back:
    dd mode_back
    dw CODE0
    bits 64
mode_back:
    ret
    bits 16
code16:
    inc bx
    inc dx
    jmp dword CODE32:from16
code16_end:
