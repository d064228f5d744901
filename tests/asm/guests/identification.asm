; CPUID and MSRs agree with each other and with what runs: features, XSAVE areas, leaf limits, EFER, APIC base, TSC, PAT, unknown MSRs.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    xor eax, eax
    cpuid
    cmp eax, 0xD
    CHECK ae
    mov r8d, eax
    lea eax, [r8 + 1]                           ; beyond the last basic leaf: the last leaf
    mov ecx, 0
    cpuid
    mov r9d, eax
    mov eax, r8d
    xor ecx, ecx
    cpuid
    cmp eax, r9d
    CHECK e
    CHECKPOINT 2                                ; OSXSAVE follows CR4
    mov eax, 1
    cpuid
    test ecx, 1 << 26
    CHECK nz
    test ecx, 1 << 27
    CHECK z
    FAULTS 6, 0, xgetbv
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    mov eax, 1
    cpuid
    test ecx, 1 << 27
    CHECK nz
    xor ecx, ecx
    xgetbv
    test eax, 1
    CHECK nz
    mov eax, 3
    xor edx, edx
    xsetbv
    mov eax, 0
    FAULTS 13, 0, xsetbv
    mov ecx, 1
    mov eax, 3
    FAULTS 13, 0, xsetbv
    CHECKPOINT 3                                ; XSAVE: the size of leaf D, and the state comes back
    mov eax, 0xD
    xor ecx, ecx
    cpuid
    cmp ebx, 576
    CHECK e
    mov eax, 0x12345678
    movd xmm3, eax
    fninit
    fld1
    mov eax, -1
    mov edx, -1
    xsave [area]
    pxor xmm3, xmm3
    fninit
    mov eax, -1
    mov edx, -1
    xrstor [area]
    movd eax, xmm3
    cmp eax, 0x12345678
    CHECK e
    fnstsw ax
    and eax, 0x3800
    cmp eax, 0x3800
    CHECK e
    FAULTS 13, 0, xrstor [area + 8]             ; misaligned
    CHECKPOINT 4                                ; reserved bits of the header
    mov byte [area + 512 + 8], 1
    FAULTS 13, 0, xrstor [area]
    mov byte [area + 512 + 8], 0
    CHECKPOINT 5                                ; MSRs
    mov ecx, 0xC0000080
    rdmsr
    test eax, 1 << 10                           ; LMA
    CHECK nz
    and eax, ~(1 << 8)                          ; LME cannot change under paging
    FAULTS 13, 0, wrmsr
    mov ecx, 0x12345678
    FAULTS 13, 0, rdmsr
    FAULTS 13, 0, wrmsr
    mov ecx, 0x277
    mov eax, 0x02000000                         ; memory type 2 does not exist
    xor edx, edx
    FAULTS 13, 0, wrmsr
    mov ecx, 0xC0000103                         ; TSC_AUX by RDTSCP and RDPID
    mov eax, 0x77
    xor edx, edx
    wrmsr
    rdtscp
    cmp ecx, 0x77
    CHECK e
    rdpid rax
    cmp eax, 0x77
    CHECK e
    CHECKPOINT 6                                ; the TSC goes forward, can be set, TSC_ADJUST follows
    rdtsc
    mov ebx, eax
    rdtsc
    cmp eax, ebx
    CHECK a
    mov ecx, 0x10
    mov eax, 0
    mov edx, 0x100
    wrmsr
    rdtsc
    cmp edx, 0x100
    CHECK e
    mov ecx, 0x3B
    rdmsr
    cmp edx, 0xFF
    CHECK ae
    CHECKPOINT 7                                ; CR4.TSD and CR4.PCE: only CPL 0 here
    rdrand rax
    CHECK c
    rdseed rax
    CHECK c
    CHECKPOINT 8                                ; CR0.TS and EM
    mov rax, cr0
    or eax, 8
    mov cr0, rax
    FAULTS 7, 0, fld1
    FAULTS 7, 0, addps xmm0, xmm0
    mov eax, 1
    crc32 ecx, eax
    clts
    mov rax, cr0
    or eax, 4
    mov cr0, rax
    FAULTS 7, 0, fld1
    FAULTS 6, 0, addps xmm0, xmm0
    FAULTS 6, 0, paddb mm0, mm0
    mov rax, cr0
    and eax, ~4
    mov cr0, rax
    CHECKPOINT 9                                ; CR4.OSFXSR
    mov rax, cr4
    and eax, ~0x200
    mov cr4, rax
    FAULTS 6, 0, addps xmm0, xmm0
    mov rax, cr4
    or eax, 0x200
    mov cr4, rax
    CHECKPOINT 10                               ; protection keys, RDPKRU
    xor ecx, ecx
    FAULTS 6, 0, rdpkru
    mov rax, cr4
    or eax, 1 << 22
    mov cr4, rax
    xor edx, edx
    mov eax, 4
    wrpkru
    xor eax, eax
    rdpkru
    cmp eax, 4
    CHECK e
    mov ecx, 1
    FAULTS 13, 0, rdpkru
    CHECKPOINT 11                               ; INVPCID, PCID
    mov eax, 0
    invpcid rax, [descriptor]
    mov eax, 4
    FAULTS 13, 0, invpcid rax, [descriptor]
    mov rax, cr4
    bts rax, 17
    mov cr4, rax
    mov rax, PML4 | 5
    bts rax, 63
    mov cr3, rax
    mov rbx, cr3
    cmp rbx, PML4 | 5
    CHECK e
    PASS
    align 64
area: times 640 db 0
descriptor: dq 0, 0x1000
