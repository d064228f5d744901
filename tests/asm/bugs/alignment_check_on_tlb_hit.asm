; #AC came only on a TLB miss: an unaligned access at CPL 3 with AC and AM set to a page used before went through.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    mov rax, cr0
    or eax, 1 << 18             ; AM
    mov cr0, rax
    CHECKPOINT 1
    mov eax, [USER + 0x10001]   ; CPL 0: not checked
    mov rdi, USER
    mov rsi, user_code
    mov ecx, user_end - user_code
    rep movsb
    SET_GATE 0x28, finished, 0xEE00
    mov dword [expect_vector], 17
    mov dword [expect_error], 0
    mov qword [resume], USER + (user_after - user_code)
    push DATA3
    push USER + 0x1000
    push 0x2
    push CODE3
    push USER
    iretq
user_code:
    mov rbx, USER + 0x10000
    mov eax, [rbx]
    mov [rbx + 1], eax          ; AC clear
    pushfq
    or dword [rsp], 1 << 18
    popfq
    mov eax, [rbx + 4]          ; aligned
    mov eax, [rbx + 1]          ; #AC
    mov eax, 99
user_after:
    mov eax, [rbx + 8]
    int 0x28
user_end:
finished:
    cmp dword [expect_vector], -1
    CHECK e
    mov rax, USER + (user_after - user_code)
    sub rax, [got_rip]
    cmp eax, 8                  ; MOV EAX, [RBX + 1] is 3 bytes, MOV EAX, 99 five
    CHECK e
    PASS
