; Real mode: segment arithmetic, the IVT, INT and IRET, limits, unreal mode, far transfers.
; SPDX-License-Identifier: MIT
%include "real16.inc"

    CHECKPOINT 1                ; base = selector * 16, and 16-bit offsets
    mov ax, 0x0FFF
    mov es, ax
    mov byte [es:0x0010], 0x77  ; linear 10000
    mov ax, 0x1000
    mov fs, ax
    cmp byte [fs:0], 0x77
    CHECK e
    mov bx, 0xFFFF
    mov si, 2
    mov byte [fs:1], 0x66
    cmp byte [fs:bx + si], 0x66 ; bx + si wraps to 1
    CHECK e

    CHECKPOINT 2                ; a word at offset FFFF crosses the limit: #GP, vector 13, no error code
    mov word [13 * 4], .gp
    mov bp, sp
    mov ax, 1
.access:
    mov dx, [fs:bx]
    jmp fail
.gp:
    pop ax
    cmp ax, .access
    CHECK e
    pop ax
    cmp ax, 0
    CHECK e
    pop ax                      ; flags
    cmp sp, bp
    CHECK e

    CHECKPOINT 3                ; stack: a push at SP 1 crosses the limit: #SS, vector 12
    mov word [12 * 4], .ss
    mov word [13 * 4], fail
    mov sp, 0x8000
    mov bp, 0xFFFF
.stack_access:
    mov ax, [bp]
    jmp fail
.ss:
    pop ax
    cmp ax, .stack_access
    CHECK e
    add sp, 4
    mov sp, 0x7000

    CHECKPOINT 4                ; INT n pushes FLAGS, CS, IP and clears IF and TF; IRET restores
    mov word [0x40 * 4], .int40
    sti
    stc
    int 0x40
.after_int:
    CHECK c
    pushf
    pop ax
    test ax, 0x200
    CHECK nz
    cli
    jmp .int_done
.int40:
    pushf
    pop ax
    test ax, 0x300
    CHECK z
    mov bp, sp
    cmp word [bp], .after_int
    CHECK e
    cmp word [bp + 2], 0
    CHECK e
    test word [bp + 4], 0x201
    CHECK nz
    clc
    iret
.int_done:

    CHECKPOINT 5                ; divide error: the return address is the instruction itself
    mov word [0], .de
    xor cx, cx
.divide:
    div cx
    jmp fail
.de:
    pop ax
    cmp ax, .divide
    CHECK e
    add sp, 4

    CHECKPOINT 6                ; INTO, INT3, BOUND
    mov word [4 * 4], .into
    mov al, 0x7F
    add al, 1
    into
.after_into:
    jmp fail
.into:
    pop ax
    cmp ax, .after_into
    CHECK e
    add sp, 4
    mov word [3 * 4], .int3
    int3
.after_int3:
    jmp fail
.int3:
    pop ax
    cmp ax, .after_int3
    CHECK e
    add sp, 4
    mov word [5 * 4], .bound
    mov word [limits], 3
    mov word [limits + 2], 9
    mov ax, 9
    bound ax, [limits]
    mov ax, 10
.bound_insn:
    bound ax, [limits]
    jmp fail
.bound:
    pop ax
    cmp ax, .bound_insn
    CHECK e
    add sp, 4

    CHECKPOINT 7                ; invalid opcodes, and protected-mode ones
    mov word [6 * 4], .ud
.ud_insn:
    ud2
    jmp fail
.ud:
    pop ax
    cmp ax, .ud_insn
    CHECK e
    add sp, 4
    mov word [6 * 4], .ud_lldt
.lldt_insn:
    lldt ax
    jmp fail
.ud_lldt:
    pop ax
    cmp ax, .lldt_insn
    CHECK e
    add sp, 4

    CHECKPOINT 8                ; far call, far return with a release, LES and LDS
    push word 0x1234
    call 0x0000:.far_target
    cmp sp, 0x7000
    CHECK e
    mov word [pointer], 0x55AA
    mov word [pointer + 2], 0x2000
    les di, [pointer]
    cmp di, 0x55AA
    CHECK e
    mov ax, es
    cmp ax, 0x2000
    CHECK e
    jmp .unreal
.far_target:
    mov bp, sp
    cmp word [bp + 4], 0x1234
    CHECK e
    retf 2

.unreal:
    CHECKPOINT 9                ; unreal mode: the limit loaded in protected mode stays
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp short .protected
.protected:
    mov bx, 8
    mov gs, bx
    and al, 0xFE
    mov cr0, eax
    jmp 0:.back
.back:
    mov ebx, 0x200000
    mov dword [gs:ebx], 0xCAFEBABE
    xor ax, ax
    mov gs, ax                  ; a real-mode load keeps the limit
    cmp dword [gs:ebx], 0xCAFEBABE
    CHECK e
    mov word [13 * 4], .gp32
.gp32_insn:
    mov eax, [ebx]              ; DS has its limit of 64 KiB
    jmp fail
.gp32:
    pop ax
    cmp ax, .gp32_insn
    CHECK e
    add sp, 4

    CHECKPOINT 10               ; interrupt vectors beyond the IDT's limit: #GP, or shutdown if that has none either
    mov word [13 * 4], .idt_gp
    lidt [short_idt]
.int_insn:
    int 0x40
    jmp fail
.idt_gp:
    pop ax
    cmp ax, .int_insn
    CHECK e
    add sp, 4
    lidt [full_idt]

    CHECKPOINT 11               ; 32-bit operands and addresses by prefix; SMSW and LMSW; PUSHA, ENTER, LEAVE
    mov eax, 0x11112222
    mov ecx, 3
    mov edx, eax
    shl edx, cl
    cmp edx, 0x88891110
    CHECK e
    smsw bx
    test bx, 1
    CHECK z
    mov bp, 0x1111
    enter 16, 1
    cmp word [bp], 0x1111
    CHECK e
    leave
    cmp bp, 0x1111
    CHECK e
    cmp sp, 0x7000
    CHECK e
    pusha
    mov bp, sp
    cmp word [bp + 6], 0x7000
    CHECK e
    popa

    CHECKPOINT 12               ; the stack pointer wraps inside its 64 KiB
    mov ax, 0x3000
    mov ss, ax
    xor sp, sp
    push word 0xBEEF
    cmp sp, 0xFFFE
    CHECK e
    mov ax, 0x3000
    mov es, ax
    cmp word [es:0xFFFE], 0xBEEF
    CHECK e
    pop ax
    cmp sp, 0
    CHECK e
    PASS
limits: dw 0, 0
pointer: dw 0, 0
    align 8
gdt: dq 0, 0x00CF93000000FFFF
gdt_pointer: dw 15
    dd gdt
short_idt: dw 0x40 * 4 - 1
    dd 0
full_idt: dw 0x3FF
    dd 0
