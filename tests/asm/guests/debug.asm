; Debug: single step, instruction and data breakpoints, I/O-free: DR6, DR7.GD, RF, ICEBP, MOV SS, repeats, branches.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%macro STEPS 0                  ; set TF by POPF: the trap comes after the next instruction
    pushfd
    or dword [esp], 0x100
    popfd
%endmacro
%macro CLEAR_DR6 0
    xor eax, eax
    mov dr6, eax
%endmacro
    CHECKPOINT 1                ; single step: one instruction behind POPF, BS in DR6, RF clear in the image
    CLEAR_DR6
    mov dword [expect_vector], 1
    mov dword [expect_error], 0
    mov dword [resume], .after_step
    STEPS
    nop
.trap_here:
    nop
.after_step:
    cmp dword [got_rip], .trap_here
    CHECK e
    mov eax, dr6
    cmp eax, 0xFFFF4FF0
    CHECK e
    test dword [got_flags], 0x10000
    CHECK z
    test dword [got_flags], 0x100
    CHECK nz
    CHECKPOINT 2                ; not after MOV SS, but after the instruction behind it
    CLEAR_DR6
    mov dword [expect_vector], 1
    mov dword [resume], .after_ss
    mov ebx, ss
    STEPS
    mov ss, ebx
    nop
.ss_trap:
    nop
.after_ss:
    cmp dword [got_rip], .ss_trap
    CHECK e
    CHECKPOINT 3                ; a faulting instruction: its fault first, TF pushed with it
    mov dword [expect_vector], 6
    mov dword [resume], .after_fault
    STEPS
.faulting:
    ud2
.after_fault:
    cmp dword [got_rip], .faulting
    CHECK e
    test dword [got_flags], 0x100
    CHECK nz
    CHECKPOINT 4                ; each iteration of a repeat traps, with RIP on the instruction
    mov ecx, 3
    mov edi, 0x9000
    mov dword [expect_vector], 1
    mov dword [resume], .after_rep
    STEPS
.rep:
    rep stosb
    ud2
.after_rep:
    cmp ecx, 2
    CHECK e
    cmp dword [got_rip], .rep
    CHECK e
    CHECKPOINT 5                ; instruction breakpoint: a fault before the instruction, RF clear in the image (SDM 3B 17.3.1.1)
    CLEAR_DR6
    mov eax, .bp_insn
    mov dr0, eax
    mov eax, 0x402              ; G0
    mov dr7, eax
    mov ebx, 7
    mov dword [expect_vector], 1
    mov dword [resume], .after_bp
.bp_insn:
    mov ebx, 8
    ud2
.after_bp:
    cmp ebx, 7
    CHECK e
    cmp dword [got_rip], .bp_insn
    CHECK e
    test dword [got_flags], 0x10000
    CHECK z
    mov eax, dr6
    cmp eax, 0xFFFF0FF1
    CHECK e
    CHECKPOINT 6                ; with RF set the breakpoint does not count, once
    push 0x10002
    push CODE0
    push .bp_insn2
    mov eax, .bp_insn2
    mov dr0, eax
    xor ebx, ebx
    iretd
.bp_insn2:
    inc ebx
    cmp ebx, 1
    CHECK e
    CHECKPOINT 7                ; data breakpoint on writes: a trap behind the instruction
    CLEAR_DR6
    mov eax, watched
    mov dr1, eax
    mov eax, 0x00D00408         ; G1, R/W1 = write, LEN1 = 4
    mov dr7, eax
    mov eax, [watched]          ; reads do not count
    mov dword [expect_vector], 1
    mov dword [resume], .after_write
    mov byte [watched + 3], 0x55
.write_trap:
    nop
.after_write:
    cmp dword [got_rip], .write_trap
    CHECK e
    cmp byte [watched + 3], 0x55
    CHECK e
    mov eax, dr6
    cmp eax, 0xFFFF0FF2
    CHECK e
    mov byte [watched + 4], 1   ; beside it
    CHECKPOINT 8                ; reads and writes, again and again (the TLB must not hide the page)
    CLEAR_DR6
    mov eax, 0x00F00408
    mov dr7, eax
    mov ecx, 3
.again:
    mov dword [expect_vector], 1
    mov dword [resume], .read_done
    mov al, [watched + 1]
    ud2
.read_done:
    mov eax, dr6
    cmp eax, 0xFFFF0FF2
    CHECK e
    CLEAR_DR6
    mov edx, [watched + 4]
    dec ecx
    jnz .again
    CHECKPOINT 9                ; GD: access to a debug register
    mov eax, 0x2400
    mov dr7, eax
    mov dword [expect_vector], 1
    mov dword [resume], .after_gd
.gd_insn:
    mov eax, dr0
    ud2
.after_gd:
    cmp dword [got_rip], .gd_insn
    CHECK e
    mov eax, dr6                ; GD was cleared on delivery
    test eax, 0x2000
    CHECK nz
    CLEAR_DR6
    CHECKPOINT 10               ; ICEBP: a trap, DR6 untouched
    mov dword [expect_vector], 1
    mov dword [resume], .after_icebp
    db 0xF1
.icebp_next:
    ud2
.after_icebp:
    cmp dword [got_rip], .icebp_next
    CHECK e
    CHECKPOINT 11               ; DR4 and DR5 are DR6 and DR7 without CR4.DE, #UD with it
    mov eax, dr5
    mov ebx, dr7
    cmp eax, ebx
    CHECK e
    mov eax, cr4
    or eax, 8
    mov cr4, eax
    FAULTS 6, 0, mov eax, dr5
    CHECKPOINT 12               ; INT3 and INTO: traps
    mov dword [expect_vector], 3
    mov dword [resume], .after_int3
    int3
.int3_next:
    ud2
.after_int3:
    cmp dword [got_rip], .int3_next
    CHECK e
    mov al, 0x7F
    add al, 1
    mov dword [expect_vector], 4
    mov dword [resume], .after_into
    into
.into_next:
    ud2
.after_into:
    cmp dword [got_rip], .into_next
    CHECK e
    CHECKPOINT 13               ; single step over a taken branch and a CALL
    mov dword [expect_vector], 1
    mov dword [resume], .after_branch
    STEPS
    jmp short .branch_target
    ud2
.branch_target:
    nop
.after_branch:
    cmp dword [got_rip], .branch_target
    CHECK e
    CHECKPOINT 14               ; POP SS: what it hits on the stack waits for the instruction that loads ESP
    CLEAR_DR6
    mov [watched], ss
    mov eax, watched
    mov dr0, eax
    mov eax, 0x000F0402
    mov dr7, eax
    mov dword [expect_vector], 1
    mov dword [resume], .after_pop
    mov ebx, esp
    mov esp, watched
    pop ss
    mov esp, ebx
.pop_trap:
    ud2
.after_pop:
    cmp dword [got_rip], .pop_trap
    CHECK e
    mov eax, dr6
    cmp eax, 0xFFFF0FF1
    CHECK e
    PASS
    align 16
watched: dd 0, 0
