; SYSEXIT to 64-bit user mode, WRFSBASE, RDPMC, XSAVEOPT, RSQRTPS within its error, CPUID as a serializing block end.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    mov rax, cr4
    or eax, 1 << 16 | 1 << 18
    mov cr4, rax
    mov rax, 0x123456000
    wrfsbase rax
    rdfsbase rbx
    cmp rbx, rax
    CHECK e
    mov rax, 0x8000000000000000
    FAULTS 13, 0, wrfsbase rax
    CHECKPOINT 2
    xor ecx, ecx
    FAULTS 13, 0, rdpmc
    CHECKPOINT 3
    fninit
    mov eax, 0x40800000         ; 4.0
    movd xmm0, eax
    pshufd xmm0, xmm0, 0
    rsqrtps xmm1, xmm0
    movd eax, xmm1
    sub eax, 0x3F000000 - 0x1000
    cmp eax, 0x2000             ; 0.5 within 1.5 * 2^-12
    CHECK b
    rcpps xmm1, xmm0
    rsqrtss xmm1, xmm0
    rcpss xmm1, xmm0
    CHECKPOINT 4
    mov eax, 3
    xor edx, edx
    mov ecx, 0
    xsetbv
    mov eax, 3
    xsaveopt [area]
    test byte [area + 512], 2
    CHECK nz
    CHECKPOINT 5
    mov rdi, USER
    mov rsi, user_code
    mov ecx, user_end - user_code
    rep movsb
    SET_GATE 0x28, finished, 0xEE00
    mov ecx, 0x174
    mov eax, CODE0
    xor edx, edx
    wrmsr
    mov ecx, USER + 0x1000
    mov edx, USER
    o64 sysexit
user_code:
    mov ebx, cs
    mov esi, ss
    int 0x28
user_end:
finished:
    cmp ebx, (CODE0 + 32) | 3
    CHECK e
    cmp esi, (CODE0 + 40) | 3
    CHECK e
    cmp qword [rsp + 24], USER + 0x1000
    CHECK e
    PASS
    align 64
area: times 640 db 0
