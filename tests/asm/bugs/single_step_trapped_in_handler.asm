; TF: a trap at the first instruction behind INT n and SYSCALL, none at once behind SYSRET, none behind STI.  host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
    STEP_LOG
    SET_GATE 0x30, soft, 0xEF00     ; trap gates: they too clear TF
    SET_GATE 3, soft, 0xEF00
    jmp start
soft:
    nop
.second:
    iretq
start:
    CHECKPOINT 1                    ; INT n, INT3: no trap in the handler; IRETQ brings TF back, the next instruction is trapped
%macro SOFTWARE 1
    STEP
    %1
    nop
%%behind:
    STEP_END
%%end:
    TRAPS 4                         ; behind NOP, PUSHFQ, AND, POPFQ
    TRAP 0, %%behind
    TRAP 3, %%end
    TRAP_DR6 0, 0xFFFF4FF0
%endmacro
    SOFTWARE int 0x30
    SOFTWARE int3
    CHECKPOINT 2                    ; INT1: #DB once, without BS, and no second one
    mov r15d, 0
    pushfq
    or dword [rsp], 0x100
    popfq
    db 0xF1
.icebp:
    nop
.icebp_nop:
    STEP_END
    TRAPS 5
    TRAP 0, .icebp
    TRAP_DR6 0, 0xFFFF0FF0
    TRAP 1, .icebp_nop
    CHECKPOINT 3                    ; POPFQ that clears TF is trapped, PUSHFQ shows it
    STEP
    nop
.p0:
    STEP_END
.p1:
    TRAPS 4
    TRAP 0, .p0
    TRAP 3, .p1
    test dword [LOG_FLAGS + 3 * 32], 0x100
    CHECK z
    CHECKPOINT 4                    ; STI's shadow holds no trap back
    cli
    STEP
    sti
.behind_sti:
    cli
.behind_cli:
    STEP_END
    TRAPS 5
    TRAP 0, .behind_sti
    TRAP 1, .behind_cli
    CHECKPOINT 5                    ; MOV SS's and POP's do: one trap behind the instruction after it
    mov ebx, ss
    STEP
    mov ss, ebx
    nop
.behind_ss:
    STEP_END
    TRAPS 4
    TRAP 0, .behind_ss
    CHECKPOINT 6                    ; IRETQ that clears TF is trapped, one that sets it only behind the next instruction
    STEP
    mov rax, rsp
    push DATA0
    push rax
    push 2
    push CODE0
    push .iret_target
    iretq
.iret_target:
    nop
    TRAPS 7
    TRAP 6, .iret_target
    NO_TRAPS
    mov rax, rsp
    push DATA0
    push rax
    push 0x102
    push CODE0
    push .set_target
    iretq
.set_target:
    nop
.set_behind:
    STEP_END
    TRAPS 4
    TRAP 0, .set_behind
    CHECKPOINT 7                    ; a faulting instruction: no trap, TF in the image
    STEP
    mov dword [expect_vector], 6
    mov dword [expect_error], 0
    mov qword [resume], .after_fault
.faulting:
    ud2
.after_fault:
    TRAPS 3
    cmp qword [got_rip], .faulting
    CHECK e
    test dword [got_flags], 0x100
    CHECK nz
    CHECKPOINT 8                    ; a repeat: a trap an iteration, RF pushed between them (SDM 3B 18.3.1.1)
    mov ecx, 3
    mov edi, 0x300000
    STEP
.repeat:
    rep stosb
.repeat_end:
    STEP_END
    TRAPS 6
    TRAP 0, .repeat
    TRAP 1, .repeat
    TRAP 2, .repeat_end
    test dword [LOG_FLAGS], 0x10000
    CHECK nz
    test dword [LOG_FLAGS + 32], 0x10000
    CHECK nz
    test dword [LOG_FLAGS + 64], 0x10000
    CHECK z
    CHECKPOINT 9                    ; none at all: one trap behind it
    xor ecx, ecx
    STEP
    rep movsb
.none:
    STEP_END
    TRAPS 4
    TRAP 0, .none
    CHECKPOINT 10                   ; a compare that ends early: behind it
    mov ecx, 3
    mov esi, 0x300000
    mov edi, 0x300010
    mov byte [rsi], 1
    mov byte [rdi], 1
    mov byte [rsi + 1], 1
    mov byte [rdi + 1], 2
    STEP
.cmps:
    repe cmpsb
.cmps_end:
    STEP_END
    TRAPS 5
    TRAP 0, .cmps
    TRAP 1, .cmps_end
    CHECKPOINT 11                   ; SYSCALL whose mask clears TF: nothing in the kernel; SYSRET that sets TF: at once
    WRMSR 0xC0000081, (CODE32U - 3) << 48 | 0x08 << 32 | 0
    WRMSR 0xC0000082, entry
    WRMSR 0xC0000084, 0x100
    mov esi, user_code              ; the user's code: TF by POPF, SYSCALL, two NOPs, TF off, SYSCALL
    mov edi, USER
    mov ecx, user_end - user_code
    rep movsb
    mov r14d, 0
    NO_TRAPS
    mov r12, rsp
    mov rsp, USER + 0x100000
    mov ecx, USER
    mov r11d, 0x2
    o64 sysret
entry:
    nop
    nop
    inc r14d
    cmp r14d, 2
    je .second
    o64 sysret                      ; R11 has TF
.second:
    mov rsp, r12
    cmp r14d, 2
    CHECK e
    TRAPS 5                         ; at the SYSRET's target, behind NOP, PUSHFQ, AND, POPFQ
    TRAP 0, USER + user_next - user_code
    TRAP 1, USER + user_nop - user_code
    cmp qword [LOG_CS], CODE3
    CHECK e
    TRAP_DR6 0, 0xFFFF4FF0
    CHECKPOINT 12                   ; a mask that keeps TF: a trap at the kernel's first instruction
    WRMSR 0xC0000084, 0
    WRMSR 0xC0000082, kept
    STEP
    syscall
kept:
    nop
.behind:
    STEP_END
    TRAPS 5
    TRAP 0, kept
    TRAP 1, .behind
    CHECKPOINT 13                   ; SYSRET with TF set that clears it: none
    WRMSR 0xC0000082, .back
    mov rsp, USER + 0x100000
    mov ecx, USER + user_last - user_code
    mov r11d, 0x2
    STEP
    o64 sysret
.back:
    mov rsp, r12
    TRAPS 0
    CHECKPOINT 14                   ; HLT: the trap ends it
    STEP
    hlt
.behind_hlt:
    STEP_END
    TRAPS 4
    TRAP 0, .behind_hlt
    CHECKPOINT 15                   ; DEBUGCTL.BTF: the first branch that is taken alone; #DB clears it
    WRMSR 0x1D9, 2
    mov ecx, 2
    STEP
    nop
    jnz .never
    rep stosb
    jmp .branch
.never:
    nop
.branch:
    nop
.behind_branch:
    STEP_END
    TRAPS 5
    TRAP 0, .branch
    TRAP 1, .behind_branch
    mov ecx, 0x1D9
    rdmsr
    test eax, eax
    CHECK z
    PASS
user_code:
    pushfq
    or dword [rsp], 0x100
    popfq
    syscall
user_next:
    nop
user_nop:
    pushfq
    and dword [rsp], ~0x100
    popfq
user_last:
    syscall
user_end:
