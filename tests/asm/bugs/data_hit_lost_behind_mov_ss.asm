; A data breakpoint hit by MOV SS or POP SS was dropped instead of held for an instruction.  host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
%define W 0x300100
    STEP_LOG
    SET_GATE 0x30, soft, 0xEE00
    mov word [W], DATA0
    jmp start
soft:
    nop
    iretq
start:
    CHECKPOINT 1                    ; behind the next instruction, with what that hits
    ARM 0, W, 3, 1
    NO_TRAPS
    mov ss, [W]
    nop
.behind_nop:
    nop
    TRAPS 1
    TRAP 0, .behind_nop
    TRAP_DR6 0, 0xFFFF0FF1
    CHECKPOINT 2                    ; no single step of MOV SS itself; one of the instruction behind, in one exception
    STEP
    mov ss, [W]
    nop
.stepped:
    STEP_END
    TRAPS 4
    TRAP 0, .stepped
    TRAP_DR6 0, 0xFFFF4FF1
    CHECKPOINT 3                    ; a load of another segment holds nothing
    NO_TRAPS
    mov ds, [W]
.ds:
    nop
    TRAPS 1
    TRAP 0, .ds
    CHECKPOINT 4                    ; LSS neither
    mov dword [W + 0x10], 0
    mov rax, rsp
    mov [W - 4], eax
    NO_TRAPS
    lss esp, [W - 4]
.lss:
    nop
    TRAPS 1
    TRAP 0, .lss
    CHECKPOINT 5                    ; the next instruction is INT n: at its handler
    NO_TRAPS
    mov ss, [W]
    int 0x30
    TRAPS 1
    TRAP 0, soft
    CHECKPOINT 6                    ; SYSCALL: at its target
    WRMSR 0xC0000081, 0x08 << 32
    WRMSR 0xC0000082, .entry
    WRMSR 0xC0000084, 0x100
    NO_TRAPS
    mov ss, [W]
    syscall
.entry:
    nop
    TRAPS 1
    TRAP 0, .entry
    CHECKPOINT 7                    ; it faults: at the fault's handler; what it hit itself does not count
    mov dword [expect_vector], 6
    mov dword [expect_error], 0
    mov qword [resume], .after_fault
    NO_TRAPS
    mov ss, [W]
    ud2
.after_fault:
    TRAPS 1
    TRAP 0, stubs + 6 * STUB_SIZE
    TRAP_DR6 0, 0xFFFF0FF1
    CHECKPOINT 8                    ; an instruction breakpoint on the next instruction is passed over
    mov eax, .passed
    mov dr1, rax
    mov eax, 0x0007040A             ; 0: 2 bytes, both; 1: execute
    mov dr7, rax
    NO_TRAPS
    mov ss, [W]
.passed:
    nop
.behind:
    nop
    TRAPS 1
    TRAP 0, .behind
    TRAP_DR6 0, 0xFFFF0FF1
    mov eax, .stopped               ; but not behind STI
    mov dr1, rax
    mov eax, 0x0007040A
    mov dr7, rax
    mov dword [expect_vector], 1
    mov rax, rsp
    NO_TRAPS
    SET_GATE 1, once, 0x8E00
    sti
.stopped:
    nop
    cli
    TRAPS 1
    TRAP 0, .stopped
    jmp go_on
once:                               ; RF, so that it goes on
    push rax
    mov rax, [rsp + 8]
    mov [LOG], rax
    or dword [rsp + 24], 0x10000
    inc r15
    pop rax
    iretq
go_on:
    CHECKPOINT 9                    ; disarmed by the instruction behind it: held all the same
    SET_GATE 1, step_logger, 0x8E00
    ARM 0, W, 3, 1
    mov ecx, 0x400
    NO_TRAPS
    mov ss, [W]
    mov dr7, rcx
.disarmed:
    nop
    TRAPS 1
    TRAP 0, .disarmed
    CHECKPOINT 10                   ; MOV SS long before: its shadow is over
    mov ecx, DATA0
    mov ss, ecx
    nop
    STEP
    nop
.late:
    STEP_END
    TRAPS 4
    TRAP 0, .late
    PASS
