; A translated indirect jump to FFFFFFFF_FFFFFFFFH found an empty entry of the jump table, whose tag was that number, and jumped to
; host address 0. Empty entries must match no target at all, canonical or not.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%macro FETCH_FAULTS 2+          ; the instruction jumps to RBX, which is no code: #PF of a supervisor's fetch, at the target
    CHECKPOINT %1
    mov dword [expect_vector], 14
    mov dword [expect_error], 0x10
    mov qword [resume], %%after
    %2
    ud2
%%after:
    mov rsp, rbp
    cmp [got_rip], rbx
    CHECK e
%endmacro
    mov rbp, rsp
    mov r12d, 100               ; often enough to be translated
.again:
    mov rbx, -1
    FETCH_FAULTS 1, jmp rbx
    FETCH_FAULTS 2, call rbx
    push rbx
    FETCH_FAULTS 3, ret
    mov [target], rbx
    FETCH_FAULTS 4, jmp [target]
    FETCH_FAULTS 5, call [target]
    CHECKPOINT 6                ; the slots of 0 and of the highest tags
    mov rbx, 0x8000000000000000
    FAULTS 13, 0, jmp rbx
    mov rbx, 0xFFFF7FFFFFFFFFFF
    FAULTS 13, 0, jmp rbx
    mov rbx, 0xFFFFFFFFFFFF0000
    FETCH_FAULTS 7, jmp rbx
    dec r12d
    jnz .again
    PASS
target: dq 0
