; 64-bit mode: page faults, canonical addresses, SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, compatibility mode, IST, CR8.
; SPDX-License-Identifier: MIT
%include "long64.inc"
    CHECKPOINT 1                                ; page faults and non-canonical addresses
    FAULTS 14, 0, mov rax, [0x1000000]
    mov rbx, 0x00007FFFFFFFFFFF
    FAULTS 14, 2, mov [rbx], al
    FAULTS 13, 0, mov [rbx], ax
    mov rbx, 0x8000000000000000
    FAULTS 13, 0, mov rax, [rbx]
    mov rbp, rbx
    FAULTS 12, 0, mov rax, [rbp]
    mov rdx, rsp
    mov rsp, rbx
    mov rsp, rdx
    CHECKPOINT 2                                ; non-canonical jump: fault on the JMP
    FAULTS 13, 0, jmp rbx
    CHECKPOINT 3                                ; instructions that do not exist here
    FAULTS 6, 0, db 0x06
    FAULTS 6, 0, db 0x27
    FAULTS 6, 0, db 0x60
    FAULTS 6, 0, db 0xEA
    FAULTS 6, 0, db 0xF0, 0x90
    CHECKPOINT 4                                ; limits and bases of DS do not count, FS and GS bases do
    WRMSR 0xC0000100, 0x7C00
    mov al, [fs:0]
    cmp al, [0x7C00]
    CHECK e
    WRMSR 0xC0000101, 0x1111
    WRMSR 0xC0000102, 0x2222
    swapgs
    mov ecx, 0xC0000101
    rdmsr
    cmp eax, 0x2222
    CHECK e
    mov ecx, 0xC0000102
    rdmsr
    cmp eax, 0x1111
    CHECK e
    mov rcx, 0xC0000100
    mov eax, 0
    mov edx, 0x01000000                         ; 58 bits; what LA57 could have is taken in any mode
    FAULTS 13, 0, wrmsr
    FAULTS 6, 0, rdfsbase rax
    mov rax, cr4
    or eax, 1 << 16
    mov cr4, rax
    rdfsbase rax
    cmp rax, 0x7C00
    CHECK e
    mov rbx, 0x8000
    wrgsbase rbx
    rdgsbase rcx
    cmp rcx, rbx
    CHECK e
    CHECKPOINT 5                                ; interrupts align the stack and push SS:RSP
    mov rsp, STACK0 - 0x801
    mov dword [expect_vector], 6
    mov dword [expect_error], 0
    mov qword [resume], .after_ud
    ud2
.after_ud:
    mov rax, [handler_rsp]
    and eax, 15
    cmp eax, 0                                  ; 5 cells, error, vector, RAX: 8 cells below an aligned address
    CHECK e
    cmp qword [got_rsp], STACK0 - 0x801
    CHECK e
    mov rsp, STACK0 - 0x800
    CHECKPOINT 6                                ; IST
    SET_GATE 6, stubs + 6 * STUB_SIZE, 0x8E01
    FAULTS 6, 0, ud2
    mov rax, [handler_rsp]
    cmp rax, 0x5000 - 64
    CHECK e
    SET_GATE 6, stubs + 6 * STUB_SIZE, 0x8E00
    CHECKPOINT 7                                ; SYSCALL and SYSRET
    WRMSR 0xC0000081, ((DATA3 - 8) << 48) | (CODE0 << 32)
    WRMSR 0xC0000082, syscall_entry
    WRMSR 0xC0000084, 0x200 | 0x400 | 1
    mov [kernel_rsp], rsp
    mov rdi, USER
    mov rsi, user_code
    mov ecx, user_end - user_code
    rep movsb
    mov rcx, USER
    mov r11d, 0x3202                            ; IOPL 3, so that user code can report
    mov rsp, USER + 0x1000
    o64 sysret
syscall_entry:
    xchg rsp, [kernel_rsp]
    mov [user_flags], r11
    mov [user_rip], rcx
    cmp r15d, 1
    je .first
    cmp r15d, 2
    je .second
    ud2
.first:
    CHECKPOINT 8
    mov eax, cs
    cmp eax, CODE0
    CHECK e
    mov eax, ss
    cmp eax, CODE0 + 8
    CHECK e
    pushfq
    pop rax
    test eax, 0x601                             ; masked by SFMASK
    CHECK z
    test dword [user_flags], 1
    CHECK nz
    cmp qword [user_rip], USER + (user_after_first - user_code)
    CHECK e
    mov eax, DATA0
    mov ss, eax
    mov rcx, [user_rip]
    mov r11, [user_flags]
    xchg rsp, [kernel_rsp]
    o64 sysret
.second:
    CHECKPOINT 9                                ; SYSRET to a non-canonical address: #GP in ring 0
    mov eax, DATA0
    mov ss, eax
    xchg rsp, [kernel_rsp]
    mov rsp, STACK0 - 0x800
    mov rcx, 0x8000000000000000
    FAULTS 13, 0, o64 sysret
    CHECKPOINT 10                               ; SYSENTER, SYSEXIT
    xor eax, eax
    WRMSR 0x174, 0
    FAULTS 13, 0, sysenter
    WRMSR 0x174, CODE0
    WRMSR 0x175, STACK0 - 0x900
    WRMSR 0x176, sysenter_entry
    sysenter
sysenter_entry:
    CHECKPOINT 11
    cmp rsp, STACK0 - 0x900
    CHECK e
    mov eax, cs
    cmp eax, CODE0
    CHECK e
    mov eax, DATA0
    mov ss, eax
    CHECKPOINT 12                               ; compatibility mode, same privilege
    mov dword [far32], code32
    jmp far dword [far32]
    bits 32
code32:
    mov eax, 0xFFFFFFFF
    inc eax                                     ; 40: INC here, REX there
    CHECK z
    mov edx, esp
    push edx
    cmp [esp], edx
    CHECK e
    pop edx
    mov dword [expect_vector], 6                ; a 64-bit handler from compatibility mode, and back
    mov dword [expect_error], 0
    mov dword [resume], .after
    mov dword [resume + 4], 0
    ud2
.after:
    cmp dword [got_cs], CODE32
    CHECK e
    jmp CODE0:back64
    bits 64
back64:
    CHECKPOINT 13                               ; descriptor tables above 4 GiB serve compatibility mode too
    mov rax, PML4                               ; map FFFFFFFF80000000 to 0
    mov qword [PML4 + 511 * 8], PDPT | 7
    mov qword [PDPT + 510 * 8], PD | 7
    mov rax, 0xFFFFFFFF80000000
    mov rbx, [idt_pointer + 2]
    add rbx, rax
    mov [idt_pointer + 2], rbx
    lidt [idt_pointer]
    movzx ebx, word [gdt_pointer + 2]
    add rbx, rax
    mov [gdt_pointer + 2], rbx
    lgdt [gdt_pointer]
    mov dword [far32], high32
    jmp far dword [far32]
    bits 32
high32:
    mov dword [expect_vector], 6
    mov dword [resume], .after
    ud2
.after:
    mov eax, DATA0
    mov es, eax
    jmp CODE0:from_high32
    bits 64
from_high32:
    CHECKPOINT 14                               ; CR8 and TPR
    mov eax, 5
    mov cr8, rax
    mov rbx, cr8
    cmp ebx, 5
    CHECK e
    mov eax, 16
    FAULTS 13, 0, mov cr8, rax
    xor eax, eax
    mov cr8, rax
    CHECKPOINT 15                               ; leaving long mode by CR0.PG from 64-bit code: #GP; CR4.PAE too
    mov rax, cr0
    btr rax, 31
    FAULTS 13, 0, mov cr0, rax
    mov rax, cr4
    btr rax, 5
    FAULTS 13, 0, mov cr4, rax
    mov rax, cr0
    bts rax, 32
    FAULTS 13, 0, mov cr0, rax
    FAULTS 6, 0, mov rax, cr1
    CHECKPOINT 16                               ; IRET to 64-bit ring 3 with IOPL 3
    push DATA3
    push USER + 0x1000
    push 0x3002
    push CODE3
    push USER + (user_last - user_code)
    iretq
user_code:
    mov r15d, 1
    stc
    syscall
user_after_first:
    jc .carry
    ud2
.carry:
    mov r15d, 2
    syscall
user_last:
    mov eax, cs
    cmp eax, CODE3
    jne .bad
    xor eax, eax
    out 0xF4, al
    hlt                                         ; #GP, not expected: the handler reports 16, after success
.bad:
    mov al, 99
    out 0xF4, al
    ud2
user_end:
    align 8
far32: dd 0
    dw CODE32
    align 8
kernel_rsp: dq 0
user_flags: dq 0
user_rip: dq 0
