; Flags computed before a faulting PUSH r/m (register form) were dropped as dead when a later instruction of the block overwrote them.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    SET_GATE 14, stubs + 14 * STUB_SIZE, 0x8E01
    mov rdx, rsp
    mov rsp, 0x1000800          ; not mapped
    mov ecx, 0
    stc
    mov dword [expect_vector], 14
    mov dword [expect_error], 2
    mov qword [resume], .after
    neg ecx                     ; ZF 1, CF 0
    db 0xFF, 0xF1               ; push rcx
    add ecx, 1
.after:
    mov rsp, rdx
    mov eax, [got_flags]
    and eax, 0x41
    cmp eax, 0x40
    CHECK e
    PASS
