; AVX in a whole machine: who may execute it, upper halves across SSE code, other instructions, TLB misses and faults.  cpu: v3
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define DATA 0x100000
%macro SAME 2                                   ; register, 32 bytes in memory
    vpxor ymm15, %1, %2
    vptest ymm15, ymm15
    CHECK z
%endmacro
    CHECKPOINT 1                                ; CR4.OSXSAVE clear, then XCR0 without AVX: #UD
    FAULTS 6, 0, vaddps ymm0, ymm1, ymm2
    FAULTS 6, 0, vzeroupper
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    FAULTS 6, 0, vmovdqu ymm0, [DATA]
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
    vaddps ymm0, ymm1, ymm2
    mov rax, cr4
    and eax, ~(1 << 18)
    mov cr4, rax
    FAULTS 6, 0, vaddps ymm0, ymm1, ymm2
    or eax, 1 << 18
    mov cr4, rax
    CHECKPOINT 2                                ; CR0.TS: #NM
    mov rax, cr0
    or eax, 8
    mov cr0, rax
    FAULTS 7, 0, vaddps ymm0, ymm1, ymm2
    clts
    CHECKPOINT 3                                ; the upper half of YMM1 survives SSE code, cells and new pages
    vmovdqu ymm1, [pattern]
    vmovdqu ymm8, [pattern]
    mov ebx, DATA
    mov ebp, 40
.survive:
    paddd xmm1, xmm0                            ; XMM0 is zero
    pxor xmm0, xmm0
    pushfq
    pop rax
    movdqu [rbx], xmm8
    movdqu xmm2, [rbx]
    vpcmpeqb ymm3, ymm1, [rbx + 0x1000]
    add ebx, 0x1000
    test ebp, 1
    jz .even
    sgdt [rbx + 64]
    movaps xmm4, xmm8                           ; SSE first behind C++
    SAME ymm1, [pattern]
.even:
    dec ebp
    jnz .survive
    SAME ymm1, [pattern]
    SAME ymm8, [pattern]
    CHECKPOINT 4                                ; VEX.128 clears above, VZEROUPPER and VZEROALL
    vmovdqa xmm2, xmm1
    vextracti128 xmm3, ymm2, 1
    vptest xmm3, xmm3
    CHECK z
    sgdt [DATA]
    vzeroupper                                  ; first behind C++
    vextracti128 xmm3, ymm8, 1
    vptest xmm3, xmm3
    CHECK z
    pcmpeqb xmm8, [pattern]
    pmovmskb eax, xmm8
    cmp eax, 0xFFFF
    CHECK e
    paddd xmm8, xmm8
    vextracti128 xmm3, ymm8, 1
    vptest xmm3, xmm3
    CHECK z
    vmovdqu ymm9, [pattern]
    mov eax, [DATA + 0x31000]                   ; a page not seen yet, behind VZEROUPPER and new upper halves
    SAME ymm9, [pattern]
    vzeroall
    mov eax, [DATA + 0x32000]
    vptest ymm9, ymm9
    CHECK z
    CHECKPOINT 5                                ; faults leave registers as they were
    vmovdqu ymm5, [pattern]
    mov ecx, 3
.fault:
    FAULTS 14, 0, vmovdqu ymm5, [0x1000000]
    FAULTS 14, 0, vmovdqu ymm5, [0x1000000 - 16]
    cmp qword [got_cr2], 0x1000000
    CHECK e
    FAULTS 14, 2, vmovdqu [0x1000000 - 31], ymm5
    FAULTS 13, 0, vmovaps ymm5, [DATA + 16]
    mov ebx, DATA
    vmovaps ymm6, [rbx + 32]
    FAULTS 13, 0, vmovaps ymm5, [rbx + 48]
    FAULTS 13, 0, vmovaps [rbx + 8], ymm5
    FAULTS 13, 0, movaps xmm5, [rbx + 8]
    FAULTS 13, 0, movaps xmm5, [DATA + 8]
    SAME ymm5, [pattern]
    dec ecx
    jnz .fault
    CHECKPOINT 6                                ; flags and general registers
    vpcmpeqd ymm7, ymm7, ymm7
    mov ecx, 5
.flags:
    xor eax, eax
    xor r15d, r15d
    vptest ymm5, ymm7
    CHECK nz
    vptest ymm7, ymm7
    CHECK c
    vpmovmskb r15d, ymm7
    mov edx, -1
    cmp r15, rdx
    CHECK e
    vmovq r14, xmm7
    cmp r14, -1
    CHECK e
    mov eax, 0xFF
    mov edx, 0x33
    cmp eax, edx
    vpextrb eax, xmm5, 3                        ; changes what was compared, not the flags
    mov r8d, [DATA]
    CHECK a
    cmp al, [pattern + 3]
    CHECK e
    vcvtsi2sd xmm0, xmm0, rcx
    vcomisd xmm0, [five]
    jbe .fine
    ud2
.fine:
    vcvttsd2si r9, xmm0
    cmp r9, rcx
    CHECK e
    vpinsrw xmm1, xmm7, r15d, 2
    vpslldq ymm2, ymm7, 4
    vpblendvb ymm3, ymm7, ymm5, ymm2
    vmovd eax, xmm3
    cmp eax, -1
    CHECK e
    vfmadd231pd ymm0, ymm1, ymm2
    dec ecx
    jnz .flags
    CHECKPOINT 7                                ; cells: masked moves and gathers
    vpxor ymm0, ymm0, ymm0
    vmovdqu ymm1, [pattern]
    vpmaskmovd [DATA], ymm7, ymm1
    SAME ymm1, [DATA]
    vpxor ymm2, ymm2, ymm2
    vmovdqa ymm3, ymm7
    mov ebx, pattern
    vpgatherdd ymm4, [rbx + ymm2 * 4], ymm3
    vpbroadcastd ymm6, [pattern]
    SAME ymm4, ymm6
    CHECKPOINT 8                                ; single string instructions, in both directions
    mov ecx, 40
    mov esi, pattern
    mov edi, DATA + 0xFE0
    cld
.strings:
    mov al, [rsi]
    movsb
    dec rdi
    scasb
    CHECK e
    dec rdi
    dec rsi
    cmpsb
    CHECK e
    dec rdi
    lodsb
    not al
    stosb
    dec rdi
    scasb
    CHECK e
    dec ecx
    jnz .strings
    cmp rdi, DATA + 0xFE0 + 40
    CHECK e
    std
    mov ecx, 40
    dec rdi
.down:
    lodsb
    inc rsi
    lodsq
    lea rsi, [rsi + 7]
    scasb
    dec ecx
    jnz .down
    cld
    cmp rdi, DATA + 0xFE0 - 1
    CHECK e
    CHECKPOINT 9                                ; REP downwards: a plain move up by 3, a pattern, elements across pages
    std
    mov ecx, 0x3000
    mov edi, DATA + 0x4FFF
.number:
    mov eax, ecx
    imul eax, eax, 77
    stosb
    dec ecx
    jnz .number
    mov esi, DATA + 0x4FFF
    mov edi, DATA + 0x5002
    mov ecx, 0x3000
    rep movsb
    cmp rdi, DATA + 0x2002
    CHECK e
    cld
    mov ecx, 0x3000
    mov edi, DATA + 0x2003
.moved:
    mov eax, 0x3001
    sub eax, ecx
    imul eax, eax, 77
    scasb
    CHECK e
    dec ecx
    jnz .moved
    std
    mov dword [DATA + 0x6FFC], 0x04030201
    mov esi, DATA + 0x6FFF
    mov edi, DATA + 0x6FFB
    mov ecx, 0x1500
    rep movsb
    mov edi, DATA + 0x6FFC
    mov eax, 0x04030201
    mov ecx, 0x540
    repe scasd
    CHECK e
    mov edi, DATA + 0x9002
    mov ecx, 0x500
    mov rax, 0x1122334455667788
    rep stosq
    cmp rdi, DATA + 0x9002 - 0x2800
    CHECK e
    cld
    add rdi, 8
    mov ecx, 0x500
    repe scasq
    CHECK e
    vmovups [DATA], ymm0
    vmovups [DATA + 32], ymm5
    PASS
    align 32
pattern: dq 0x0123456789ABCDEF, 0x1122334455667788, 0xFEDCBA9876543210, 0xA5A5A5A55A5A5A5A
five: dq 5.0
