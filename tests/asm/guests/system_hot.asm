; STI, CLAC, STAC, RDTSC, SYSCALL, SYSRET and others in hot loops, at the wrong level, and with what they must leave to others. host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
; %2 at CPL 3 raises #%1(0).
%macro USER_FAULTS 2+
    mov dword [expect_vector], %1
    mov dword [expect_error], 0
    mov rsi, %%insn
    mov edi, USER
    mov ecx, %%end - %%insn
    rep movsb
    mov qword [resume], USER + %%back - %%insn
    mov qword [continue], %%done
    mov ecx, USER
    mov r11d, 2
    o64 sysret
%%insn:
    %2
    ud2
%%back:
    int 0x28
%%end:
%%done:
    cmp qword [got_rip], USER
    CHECK e
%endmacro
    SET_GATE 0x28, back, 0xEE00
    SET_GATE 0x29, count, 0x8E00
    WRMSR 0xC0000081, 0x0020000800000000
    WRMSR 0xC0000082, entry
    mov r15d, 3
again:
    CHECKPOINT 1                ; STAC and CLAC without SMAP: the flag and no more
    mov ebx, USER + 0x1000
    mov ecx, 5
.plain:
    stac
    pushfq
    pop rax
    test eax, 0x40000
    CHECK nz
    inc qword [rbx]
    clac
    pushfq
    pop rax
    test eax, 0x40000
    CHECK z
    inc qword [rbx]
    loop .plain
    CHECKPOINT 2                ; with SMAP: between them only
    mov rax, cr4
    or eax, 1 << 21
    mov cr4, rax
    mov ecx, 5
.smap:
    stac
    inc qword [rbx]
    mov rax, [rbx + 8]
    clac
    loop .smap
    FAULTS 14, 1, mov rax, [rbx]
    FAULTS 14, 3, mov [rbx], rax
    mov ecx, 3
.behind:
    mov dword [expect_vector], 14
    mov dword [expect_error], 1
    mov qword [resume], .after
    stac
    mov rax, [rbx]
    clac
.reads:
    mov rdx, [rbx]
    ud2
.after:
    cmp qword [got_rip], .reads
    CHECK e
    test dword [got_flags], 0x40000
    CHECK z
    loop .behind
    stac
    mov rax, cr4
    and eax, ~(1 << 21)
    mov cr4, rax
    inc qword [rbx]
    mov rax, cr4
    or eax, 1 << 21
    mov cr4, rax
    inc qword [rbx]             ; AC is still set
    clac
    FAULTS 14, 1, mov rax, [rbx]
    mov rax, cr4
    and eax, ~(1 << 21)
    mov cr4, rax
    CHECKPOINT 3                ; at CPL 3
    USER_FAULTS 6, clac
    USER_FAULTS 6, stac
    USER_FAULTS 13, sti
    USER_FAULTS 13, cli
    USER_FAULTS 13, o64 sysret
    CHECKPOINT 4                ; RDTSC under CR4.TSD
    rdtsc
    mov esi, eax
    mov edi, edx
    rdtscp
    sub eax, esi
    sbb edx, edi
    CHECK ae
    mov rax, cr4
    or eax, 4
    mov cr4, rax
    rdtsc
    USER_FAULTS 13, rdtsc
    mov rax, cr4
    and eax, ~4
    mov cr4, rax
    CHECKPOINT 5                ; SYSCALL and SYSRET carry the flags
    mov word [USER], 0x050F     ; syscall
    mov r8d, 6
.calls:
    mov qword [continue], .called
    WRMSR 0xC0000084, 0xF01
    mov ecx, USER
    mov r11d, 0xED7
    o64 sysret
.called:
    pushfq
    pop rax
    cld
    cmp eax, 0xD6
    CHECK e
    cmp r11, 0xED7
    CHECK e
    cmp rcx, USER + 2
    CHECK e
    mov eax, cs
    cmp eax, CODE0
    CHECK e
    mov eax, ss
    cmp eax, DATA0
    CHECK e
    mov qword [continue], .unmasked
    WRMSR 0xC0000084, 0
    mov ecx, USER
    mov r11d, 0x42
    o64 sysret
.unmasked:
    pushfq
    pop rax
    cmp eax, 0x42
    CHECK e
    cmp r11, 0x42
    CHECK e
    dec r8d
    jnz .calls
    CHECKPOINT 6                ; AC comes along, and goes by the mask
    mov qword [continue], .with_ac
    WRMSR 0xC0000084, 0x40000
    mov ecx, USER
    mov r11d, 0x40002
    o64 sysret
.with_ac:
    pushfq
    pop rax
    cmp eax, 2
    CHECK e
    cmp r11, 0x40002
    CHECK e
    CHECKPOINT 7                ; a target that is not canonical; no EFER.SCE
    mov rcx, 0x0000800000000000
    mov r11d, 2
    FAULTS 13, 0, o64 sysret
    mov ecx, 0xC0000080
    rdmsr
    and eax, ~1
    wrmsr
    mov ecx, USER
    FAULTS 6, 0, o64 sysret
    FAULTS 6, 0, syscall
    mov ecx, 0xC0000080
    rdmsr
    or eax, 1
    wrmsr
    CHECKPOINT 8                ; SYSRET sets IF: what waits for it comes before the next instruction
    mov ecx, 0x1B
    rdmsr
    or eax, 0xC00
    wrmsr
    WRMSR 0x80F, 0x1FF
    mov word [USER], 0x0B0F     ; ud2: never runs
    mov qword [continue], .interrupted
    mov qword [counted], 0
    cli
    WRMSR 0x83F, 0x29
    mov ecx, USER
    mov r11d, 0x202
    o64 sysret
.interrupted:
    cmp qword [counted], 1
    CHECK e
    cmp qword [counted_rip], USER
    CHECK e
    WRMSR 0x80B, 0              ; EOI
    CHECKPOINT 9                ; STI with something waiting: one more instruction, and none where IF was set before
    mov qword [continue], .one
    mov ebx, 0
    WRMSR 0x83F, 0x29
    sti
    inc ebx
.shadowed:
    inc ebx
    ud2
.one:
    cmp ebx, 1
    CHECK e
    cmp qword [counted_rip], .shadowed
    CHECK e
    WRMSR 0x80B, 0
    mov ecx, 5
.empty:
    sti
    sti
    cli
    loop .empty
    CHECKPOINT 10               ; bases of FS and GS, RDPKRU, selectors to memory
    FAULTS 6, 0, wrgsbase rax
    FAULTS 6, 0, rdfsbase rax
    FAULTS 6, 0, rdpkru
    mov rax, cr4
    or eax, 1 << 16 | 1 << 22
    mov cr4, rax
    mov ebx, USER + 0x1000
    mov ecx, 6
.bases:
    mov rax, 0xFFFF800012345678
    add rax, rcx
    wrfsbase rax
    rdfsbase rdx
    cmp rax, rdx
    CHECK e
    rdfsbase edx
    lea esi, [rcx + 0x12345678]
    cmp rdx, rsi
    CHECK e
    wrgsbase ecx
    mov dword [rbx + rcx + 8], ecx
    cmp [gs:rbx + 8], ecx
    CHECK e
    mov qword [rbx], -1
    mov [rbx], cs
    cmp qword [rbx], 0xFFFFFFFFFFFF0000 | CODE0
    CHECK e
    mov [rbx + rcx * 4], cs
    cmp word [rbx + rcx * 4], CODE0
    CHECK e
    mov r8d, ecx
    xor ecx, ecx
    rdpkru
    test edx, edx
    CHECK z
    mov ecx, r8d
    dec ecx
    jnz .bases
    mov rax, 0x0000800000000000 ; 49 bits: the processor has LA57, though it is off
    wrgsbase rax
    rdgsbase rdx
    cmp rax, rdx
    CHECK e
    FAULTS 13, 0, mov al, [gs:0]
    mov rax, 0x0100000000000000
    FAULTS 13, 0, wrgsbase rax
    xor eax, eax
    wrgsbase rax
    mov ecx, 1
    FAULTS 13, 0, rdpkru
    mov rax, cr4
    and eax, ~(1 << 16 | 1 << 22)
    mov cr4, rax
    CHECKPOINT 11               ; CMPXCHG16B and CMPXCHG8B: hit, miss, misaligned, no page
    mov edi, USER + 0x1000
    mov esi, 0x5151
    mov r8d, 5
.pairs:
    mov rax, 0x1111111111111111
    mov [rdi], rax
    mov [rdi + 8], r8
    mov rdx, r8
    mov ebx, 0x22
    mov ecx, 0x33
    cmp r8, r8
    lock cmpxchg16b [rdi]
    CHECK e
    cmp qword [rdi + 8], 0x33
    CHECK e
    cmp r8, r8
    cmpxchg16b [rdi]
    CHECK ne
    cmp rax, 0x22
    CHECK e
    cmp rdx, 0x33
    CHECK e
    mov rax, -1
    mov rdx, -1
    stc
    lock cmpxchg8b [rdi]
    CHECK c
    CHECK ne
    cmp rax, 0x22
    CHECK e
    test rdx, rdx
    CHECK z
    mov rax, 0x7700000022
    mov rdx, 0x6600000000
    lock cmpxchg8b [rdi + rsi - 0x5151]
    CHECK e
    shr rax, 32
    cmp eax, 0x77
    CHECK e
    cmp esi, 0x5151
    CHECK e
    cmp dword [rdi + 4], 0x33
    CHECK e
    dec r8d
    jnz .pairs
    FAULTS 13, 0, lock cmpxchg16b [rdi + 8]
    mov eax, 0x2000000
    FAULTS 14, 2, lock cmpxchg16b [rax]
    pause
    prefetcht0 [rax]
    dec r15d
    jnz again
    PASS
entry:                          ; of SYSCALL
    mov rsp, STACK0 - 0x800
    jmp [continue]
back:
    mov rsp, STACK0 - 0x800
    jmp [continue]
count:
    inc qword [counted]
    pop qword [counted_rip]
    mov rsp, STACK0 - 0x800
    jmp [continue]
    align 8
continue: dq 0
counted: dq 0
counted_rip: dq 0
