; A gather that faulted behind its first element gave the fault alone; the trap of the elements before it was lost.  cpu: v3
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define DATA 0x100000
%define END 0x1000000                           ; of mapped memory
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
    mov ebx, DATA
    mov dword [DATA + 0x40], 0                  ; indices: the third element lies behind the end
    mov dword [DATA + 0x44], 1
    mov dword [DATA + 0x48], (END - DATA) / 4
    mov dword [DATA + 0x4C], 2
    vmovdqu xmm2, [DATA + 0x40]
    xor eax, eax
    mov dr6, rax
%macro GATHER_TRAPS 0                           ; #DB at the gather, RF in the image, two elements done
    mov dword [expect_vector], 1
    mov dword [expect_error], 0
    mov qword [resume], %%after
    vpcmpeqd xmm3, xmm3, xmm3
    pushfq
    or [rsp], ebp
    popfq
%%gather:
    vpgatherdd xmm4, [rbx + xmm2 * 4], xmm3
    ud2
%%after:
    cmp qword [got_rip], %%gather
    CHECK e
    test dword [got_flags], 0x10000
    CHECK nz
    vmovmskps eax, xmm3
    cmp eax, 12
    CHECK e
    mov rcx, dr6
    xor eax, eax
    mov dr7, rax
    mov dr6, rax
    FAULTS 14, 0, vpgatherdd xmm4, [rbx + xmm2 * 4], xmm3
    cmp qword [got_cr2], END
    CHECK e
%endmacro
    CHECKPOINT 1                                ; single step
    mov ebp, 0x100
    GATHER_TRAPS
    cmp ecx, 0xFFFF4FF0
    CHECK e
    CHECKPOINT 2                                ; a data breakpoint on the second element
    mov eax, DATA + 4
    mov dr0, rax
    mov eax, 0x000F0001
    mov dr7, rax
    xor ebp, ebp
    GATHER_TRAPS
    cmp ecx, 0xFFFF0FF1
    CHECK e
    CHECKPOINT 3                                ; the first element faults: the fault alone
    mov dword [expect_vector], 14
    mov qword [resume], after
    vpcmpeqd xmm3, xmm3, xmm3
    vpslldq xmm3, xmm3, 8
    pushfq
    or dword [rsp], 0x100
    popfq
faulting:
    vpgatherdd xmm4, [rbx + xmm2 * 4], xmm3
    ud2
after:
    cmp qword [got_rip], faulting
    CHECK e
    PASS
