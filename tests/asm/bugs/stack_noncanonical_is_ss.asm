; CALL m, PUSH m, POP r/m and pushes with an FS override raised #GP for a non-canonical RSP; it is #SS, whatever segment the operand has.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    SET_GATE 12, stubs + 12 * STUB_SIZE, 0x8E01
    mov rdx, rsp
    mov rsp, 0x8000000000000100
    CHECKPOINT 1
    FAULTS 12, 0, call [target]
    CHECKPOINT 2
    FAULTS 12, 0, push qword [target]
    CHECKPOINT 3
    FAULTS 12, 0, pop qword [target]
    CHECKPOINT 4
    FAULTS 12, 0, db 0xFF, 0xF0             ; PUSH r/m64, register form
    CHECKPOINT 5
    FAULTS 12, 0, db 0x64, 0x50             ; FS: PUSH RAX
    CHECKPOINT 6
    FAULTS 12, 0, db 0x8F, 0xC0             ; POP r/m64, register form
    mov rsp, rdx
    PASS
target: dq 0
