; Segment registers by PUSH, POP, LES and its kin, far transfers through memory, far returns with a release, #UD instructions.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
    CHECKPOINT 1                ; a 32-bit push of a selector writes 16 bits, moves ESP by 4
    mov dword [esp - 4], 0xDEADDEAD
    push es
    cmp dword [esp], 0xDEAD0000 | DATA0
    CHECK e
    mov eax, DATA3
    mov [esp], eax
    pop es
    mov eax, es
    cmp eax, DATA3
    CHECK e
    CHECKPOINT 2
    push cs
    pop eax
    cmp ax, CODE0
    CHECK e
    push ss
    pop ss
    push ds
    pop ds
    mov eax, DATA0
    push eax
    pop fs
    push eax
    pop gs
    push fs
    pop ebx
    cmp bx, DATA0
    CHECK e
    push gs
    pop ebx
    cmp bx, DATA0
    CHECK e
    o16 push fs
    o16 pop gs
    CHECKPOINT 3                ; a faulting POP leaves ESP
    push 0x7F8
    mov ebx, esp
    FAULTS 13, 0x7F8, pop es
    cmp esp, ebx
    CHECK e
    add esp, 4
    CHECKPOINT 4                ; POP SS and MOV SS hold a breakpoint trap back, LSS loads both
    les ecx, [pointer]
    cmp ecx, 0x12345678
    CHECK e
    mov eax, es
    cmp eax, DATA0
    CHECK e
    lfs ecx, [pointer]
    lgs ecx, [pointer]
    lds ecx, [pointer]
    mov eax, esp
    mov [stack_pointer], eax
    xor esp, esp
    lss esp, [stack_pointer]
    cmp esp, eax
    CHECK e
    mov word [pointer + 4], 0x7F8
    FAULTS 13, 0x7F8, les ecx, [pointer]
    CHECKPOINT 5                ; far calls and jumps
    push 0x77
    push 0x88
    call CODE0:callee
    cmp ecx, 0x88
    CHECK e
    mov dword [far_pointer], callee2
    call far dword [far_pointer]
    cmp ecx, 0x99
    CHECK e
    mov dword [far_pointer], .jumped
    jmp far dword [far_pointer]
    ud2
.jumped:
    jmp CODE0:.jumped2
    ud2
.jumped2:
    CHECKPOINT 6
    FAULTS 6, 0, db 0x0F, 0xFF, 0xC0    ; UD0
    FAULTS 6, 0, db 0x0F, 0xB9, 0xC0    ; UD1
    FAULTS 6, 0, ud2
    PASS
callee:
    mov ecx, [esp + 8]
    retf 8
callee2:
    mov ecx, 0x99
    retf
    align 4
pointer: dd 0x12345678
    dw DATA0, 0
stack_pointer: dd 0
    dw DATA0, 0
far_pointer: dd 0
    dw CODE0, 0
