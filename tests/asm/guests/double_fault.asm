; Double faults: contributory after contributory, page fault in page fault delivery; benign pairs are delivered one by one.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1                                ; #GP with a #GP gate that is no gate: #DF with error 0
    SET_GATE 13, stubs + 13 * STUB_SIZE, 0x8000
    mov dword [expect_vector], 8
    mov dword [expect_error], 0
    mov qword [resume], .after_df
    mov rbx, 0x8000000000000000
.insn:
    mov rax, [rbx]
    ud2
.after_df:
    cmp qword [got_rip], .insn
    CHECK e
    SET_GATE 13, stubs + 13 * STUB_SIZE, 0x8E00
    CHECKPOINT 2                                ; #UD with a gate that is not present: #NP(6*8+2+1), not #DF
    SET_GATE 6, stubs + 6 * STUB_SIZE, 0x0E00
    FAULTS 11, 6 * 8 + 3, ud2
    SET_GATE 6, stubs + 6 * STUB_SIZE, 0x8E00
    CHECKPOINT 3                                ; #PF whose stack push page-faults: #DF through IST
    SET_GATE 8, stubs + 8 * STUB_SIZE, 0x8E01
    mov rdx, rsp
    mov rsp, 0x1000100
    FAULTS 8, 0, mov rax, [0x1000200]
    cmp qword [got_cr2], 0x10000F8
    CHECK e
    mov rsp, rdx
    CHECKPOINT 4                                ; software INT of a vector without a gate: #GP(n*8+2)
    mov qword [IDT + 0x45 * 16], 0
    FAULTS 13, 0x45 * 8 + 2, int 0x45
    PASS
