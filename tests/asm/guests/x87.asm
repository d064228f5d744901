; x87 and MMX in 64-bit code: faults in the middle of an access, #NM, #MF, masks that change inside a block, state images behind
; arithmetic, stores into code.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%define AREA 0x300000           ; images
%define PAGES 0x400000          ; 64 pages of numbers
%define END 0x1000000           ; nothing is mapped from here on
    mov rax, cr0
    and eax, ~4                 ; EM
    or eax, 2                   ; MP
    mov cr0, rax
    fninit
    CHECKPOINT 1                ; a sum over an integer loop
    fldz
    mov ecx, 100
.sum:
    mov [AREA], ecx
    fild dword [AREA]
    faddp
    dec ecx
    jnz .sum
    fistp qword [AREA]
    cmp qword [AREA], 5050
    CHECK e
    CHECKPOINT 2                ; TLB fills while the stack is loaded
    mov edi, PAGES
    mov ecx, 64
.fill:
    mov [rdi], rcx
    add edi, 0x1000
    dec ecx
    jnz .fill
    mov rax, cr3
    mov cr3, rax
    fldz
    fld1
    mov edi, PAGES
    mov ecx, 64
.pages:
    fild qword [rdi]
    fmul st1
    faddp st2
    fld st0
    fstp tword [rdi + 16]
    add edi, 0x1000
    dec ecx
    jnz .pages
    fstp st0
    fistp dword [AREA]
    cmp dword [AREA], 2080      ; 1 to 64
    CHECK e
    fnstsw ax
    test ax, 0x3800
    CHECK z
    CHECKPOINT 3                ; page faults leave stack, pointers and memory alone
    fld1
    fldpi
.noted:
    FAULTS 14, 2, fstp tword [END]
    FAULTS 14, 2, fstp tword [END - 6]
    FAULTS 14, 0, fadd qword [END - 4]
    FAULTS 14, 0, fild word [END - 1]
    mov rbx, 0x8000000000000000
    FAULTS 13, 0, fist dword [rbx]
    fnstsw ax
    and ax, 0x3800
    cmp ax, 6 << 11
    CHECK e
    fxsave64 [AREA]
    cmp byte [AREA + 4], 0xC0
    CHECK e
    lea rax, [.noted - 2]
    cmp [AREA + 8], rax
    CHECK e
    fcompp
    CHECKPOINT 4                ; #NM by CR0.TS, also for WAIT with MP; #NM by EM
    mov rax, cr0
    or eax, 8
    mov cr0, rax
    FAULTS 7, 0, fld1
    FAULTS 7, 0, fwait
    FAULTS 7, 0, paddb mm0, mm1
    clts
    mov rax, cr0
    or eax, 4
    mov cr0, rax
    FAULTS 7, 0, fld1
    FAULTS 6, 0, paddb mm0, mm1
    fwait
    and eax, ~4
    mov cr0, rax
    CHECKPOINT 5                ; masks that change in the middle of a block
    mov ecx, 5
.masks:
    fninit
    fnstcw [AREA]
    mov ax, [AREA]
    mov [AREA + 2], ax
    and word [AREA + 2], ~4     ; zero divide
    fld1
    fldz
    fdiv st1, st0               ; masked: the flag stays
    fnclex
    fldcw [AREA + 2]
    fld1
    fdiv st0, st1               ; not masked: pending, ST(0) stays
    FAULTS 16, 0, fwait
    FAULTS 16, 0, fldcw [AREA]
    fnclex
    fldcw [AREA]
    fld1
    fcomip st1
    CHECK e
    fstp st0
    fstp st0
    fstp st0
    dec ecx
    jnz .masks
    CHECKPOINT 6                ; comparisons to flags and to AX, conditional moves
    mov ecx, 40
    fldz
    fld1
.compare:
    fadd st1, st0
    fcomi st1
    fcmove st1
    fcom st1
    fnstsw ax
    sahf
    setb bl
    add [AREA + 64], bl
    fucomi st1
    adc dword [AREA + 68], 0
    dec ecx
    jnz .compare
    cmp byte [AREA + 64], 39
    CHECK e
    cmp dword [AREA + 68], 39
    CHECK e
    fcompp
    CHECKPOINT 7                ; images in the middle of arithmetic
    fld1
    fldl2e
    fnsave [AREA + 128]
    frstor [AREA + 128]
    fmulp
    fnstenv [AREA + 256]
    fldenv [AREA + 256]
    fldl2e
    fcomip st1
    CHECK e
    fxsave [AREA + 512]
    fstp st0
    fxrstor [AREA + 512]
    fstp qword [AREA + 1024]
    CHECKPOINT 8                ; rounding and precision by the control word
    mov word [AREA], 0x0F7F     ; to zero, 64 bits
    mov word [AREA + 2], 0x0B7F ; up
    mov dword [AREA + 4], 3
    mov ecx, 3
.round:
    fld1
    fidiv dword [AREA + 4]
    fldcw [AREA + 2]
    fist dword [AREA + 8]
    fldcw [AREA]
    fistp dword [AREA + 12]
    cmp dword [AREA + 8], 1
    CHECK e
    cmp dword [AREA + 12], 0
    CHECK e
    dec ecx
    jnz .round
    fninit
    CHECKPOINT 9                ; MMX marks all registers valid, EMMS empty
    fld1
    mov rax, 0x0102030405060708
    movq mm0, rax
    paddb mm0, mm0
    movq [AREA], mm0
    fxsave [AREA + 512]
    cmp byte [AREA + 516], 0xFF
    CHECK e
    emms
    fxsave [AREA + 512]
    cmp byte [AREA + 516], 0
    CHECK e
    mov rax, 0x020406080A0C0E10
    cmp [AREA], rax
    CHECK e
    CHECKPOINT 10               ; a store changes the instruction behind it
    mov ecx, 3
.patch:
    mov [AREA], ecx
    fild dword [AREA]
    fistp dword [.patched + 1]
.patched:
    mov eax, 0x11111111
    cmp eax, ecx
    CHECK e
    dec ecx
    jnz .patch
    CHECKPOINT 11               ; the stack over- and underflows as on a processor
    mov ecx, 9
.push:
    fld1
    loop .push
    fnstsw ax
    and ax, 0x3A41
    cmp ax, 0x3A41
    CHECK e
    fnclex
    emms
    fadd st3
    fnstsw ax
    and ax, 0x241
    cmp ax, 0x41
    CHECK e
    fxsave64 [AREA]
    PASS
