; TF in 32-bit mode: a trap at INTO's handler and behind a task switch by the old task's TF.  host clock: too
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define MORE(n) (gdt_more + (n) * 8)
%define SEL(n) (0x30 + (n) * 8)
%macro STEPS 0
    mov dword [traps], 0
    pushfd
    or dword [esp], 0x100
    popfd
%endmacro
%macro STEPS_END 0                  ; three traps more
    pushfd
    and dword [esp], ~0x100
    popfd
%endmacro
%macro TRAPPED 2                    ; count, first EIP
    mov ebx, [traps]
    mov ecx, [first_trap]
    cmp dword [traps], %1
    CHECK e
    cmp dword [first_trap], %2
    CHECK e
%endmacro
    SET_GATE 1, step, 0x8E
    SET_GATE 4, soft, 0x8F
    SET_GATE 0x30, soft, 0x8F
    jmp start
step:
    push eax
    cmp dword [traps], 0
    jne .more
    mov eax, [esp + 4]
    mov [first_trap], eax
.more:
    inc dword [traps]
    pop eax
    iretd
soft:
    nop
    iretd
start:
    CHECKPOINT 1                    ; INTO
    mov al, 0x7F
    mov dword [traps], 0
    pushfd
    or dword [esp], 0x900           ; OF, TF
    popfd
    into
    nop
.into_end:
    STEPS_END
    TRAPPED 4, .into_end
    CHECKPOINT 2                    ; INTO that does nothing
    xor eax, eax
    STEPS
    into
.no_overflow:
    STEPS_END
    TRAPPED 4, .no_overflow
    CHECKPOINT 3                    ; INT n by another gate
    STEPS
    int 0x30
    nop
.int_end:
    STEPS_END
    TRAPPED 4, .int_end
    CHECKPOINT 4                    ; a call of a task: none in the new task, whose TF is clear; back with the old one's
    mov eax, task
    mov word [MORE(0)], 0x67
    mov [MORE(0) + 2], ax
    shr eax, 16
    mov [MORE(0) + 4], al
    mov byte [MORE(0) + 5], 0x89
    mov [MORE(0) + 7], ah
    STEPS
    call SEL(0):0
    nop
.task_end:
    STEPS_END
    TRAPPED 4, .task_end
    test dword [tss + 0x24], 0x100
    CHECK nz
    CHECKPOINT 5                    ; a task whose TF is set: behind its first instruction
    or dword [task + 0x24], 0x100
    mov dword [traps], 0
    mov dword [task + 0x20], task_code
    call SEL(0):0
    TRAPPED 2, task_second          ; NOP, then the IRET by the task's own view: none behind it; so NOP and the second NOP
    CHECKPOINT 6                    ; LOOP and a call, each once, at the right place
    mov ecx, 2
    STEPS
.loop:
    loop .loop
    nop
.behind_loop:
    STEPS_END
    TRAPPED 6, .loop
    PASS
task_code:
    nop
task_second:
    nop
    iretd
    align 4
traps: dd 0
first_trap: dd 0
task:
    dd 0
    dd 0x5000, DATA0, 0, 0, 0, 0
    dd 0                            ; CR3
    dd task_code, 2
    dd 0, 0, 0, 0, 0x5800, 0, 0, 0
    dd DATA0, CODE0, DATA0, DATA0, 0, 0, 0
    dw 0, 0x68
