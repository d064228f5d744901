; POPF that set TF with IF clear did not trap: the run went on from block to block. (IF set hid it.)
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1
    mov dword [expect_vector], 1
    mov dword [expect_error], 0
    mov qword [resume], .after
    xor ecx, ecx
    pushfq
    or dword [rsp], 0x100
    popfq
    inc ecx
.here:
    inc ecx
    inc ecx
.after:
    cmp ecx, 1
    CHECK e
    cmp qword [got_rip], .here
    CHECK e
    PASS
