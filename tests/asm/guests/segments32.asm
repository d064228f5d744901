; Protected mode: descriptor checks, limits, expand-down, conforming code, LDT, call gates, LAR LSL VERR VERW ARPL, table registers.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
    mov dword [IDT + 0x30 * 8], 0
%define MORE(n) (gdt_more + (n) * 8)
%define SEL(n) (0x30 + (n) * 8)
%macro DESC 3                   ; index, low, high
    mov dword [MORE(%1)], %2
    mov dword [MORE(%1) + 4], %3
%endmacro
    CHECKPOINT 1                ; null, beyond the table, not present, wrong type
    FAULTS 13, 0x7F8, mov es, [null_check_target]
    CHECKPOINT 2
    mov eax, 0x7F8
    FAULTS 13, 0x7F8, mov es, eax
    DESC 0, 0x0000FFFF, 0x00CF1300              ; data, not present
    mov eax, SEL(0)
    CHECKPOINT 3
    FAULTS 11, SEL(0), mov es, eax
    CHECKPOINT 4
    FAULTS 12, SEL(0), mov ss, eax
    DESC 1, 0x0000FFFF, 0x00CF9900              ; execute-only code
    mov eax, SEL(1)
    CHECKPOINT 5
    FAULTS 13, SEL(1), mov fs, eax
    CHECKPOINT 6                                ; SS: read-only data, wrong DPL, null
    DESC 2, 0x0000FFFF, 0x00CF9100
    mov eax, SEL(2)
    FAULTS 13, SEL(2), mov ss, eax
    mov eax, DATA3
    FAULTS 13, DATA3 & ~3, mov ss, eax
    xor eax, eax
    FAULTS 13, 0, mov ss, eax
    CHECKPOINT 7                                ; a null selector faults on use, not on load
    mov es, eax
    FAULTS 13, 0, mov [es:0], al
    CHECKPOINT 8                                ; writing through read-only data
    mov eax, SEL(2)
    mov es, eax
    mov eax, [es:0x7C00]
    FAULTS 13, 0, mov [es:0x7C00], eax
    CHECKPOINT 9                                ; byte-granular limit
    DESC 3, 0x7C000010, 0x00409300              ; base 7C00, limit 10
    mov eax, SEL(3)
    mov es, eax
    mov al, [es:0x10]
    FAULTS 13, 0, mov ax, [es:0x10]
    CHECKPOINT 10                               ; expand-down: valid above the limit
    DESC 4, 0x00000FFF, 0x00409700
    mov eax, SEL(4)
    mov es, eax
    mov al, [es:0x1000]
    FAULTS 13, 0, mov al, [es:0x0FFF]
    CHECKPOINT 11                               ; 16-bit expand-down ends at FFFF
    DESC 5, 0x00000FFF, 0x00009700
    mov eax, SEL(5)
    mov es, eax
    mov al, [es:0xFFFF]
    FAULTS 13, 0, mov ax, [es:0xFFFF]
    CHECKPOINT 12                               ; the accessed bit
    DESC 6, 0x0000FFFF, 0x00CF9200
    mov eax, SEL(6)
    mov es, eax
    test byte [MORE(6) + 5], 1
    CHECK nz
    CHECKPOINT 13                               ; jumps: data segment, DPL, conforming
    FAULTS 13, DATA0, jmp DATA0:0
    FAULTS 13, CODE3 & ~3, jmp CODE3:0
    DESC 7, 0x0000FFFF, 0x00CF9F00              ; conforming, DPL 0
    jmp SEL(7):conforming
conforming:
    mov eax, cs
    cmp eax, SEL(7)
    CHECK e
    jmp CODE0:back_from_conforming
back_from_conforming:
    CHECKPOINT 14                               ; beyond the code limit
    DESC 8, 0x00000FFF, 0x00409B00
    FAULTS 13, 0, jmp SEL(8):0x1000
    CHECKPOINT 15                               ; LDT
    mov eax, ldt
    DESC 9, 0x0000000F, 0x00008200
    mov [MORE(9) + 2], ax
    mov eax, SEL(9)
    lldt ax
    sldt ebx
    cmp ebx, SEL(9)
    CHECK e
    mov eax, 4 | 8
    mov es, eax
    cmp dword [es:ldt], 0
    mov eax, 4 | 16
    FAULTS 13, 4 | 16, mov es, eax
    mov eax, 4
    FAULTS 13, 4, lldt ax
    mov eax, DATA0
    FAULTS 13, DATA0, lldt ax
    mov es, eax
    CHECKPOINT 16                               ; LAR, LSL, VERR, VERW, ARPL
    mov eax, CODE0
    lar ebx, eax
    CHECK z
    and ebx, 0x00F0FF00                         ; bits 16 to 19 are undefined
    cmp ebx, 0x00C09B00
    CHECK e
    lsl ebx, eax
    CHECK z
    cmp ebx, 0xFFFFFFFF
    CHECK e
    verr ax
    CHECK z
    verw ax
    CHECK nz
    mov eax, SEL(1)
    verr ax
    CHECK nz
    mov eax, 0x7F8
    lar ebx, eax
    CHECK nz
    xor eax, eax
    lsl ebx, eax
    CHECK nz
    mov eax, 0x10
    mov ebx, 0x3
    arpl ax, bx
    CHECK z
    cmp eax, 0x13
    CHECK e
    arpl ax, bx
    CHECK nz
    CHECKPOINT 17                               ; SGDT, SIDT, STR, SMSW
    sgdt [scratch]
    cmp word [scratch], gdt_end - gdt - 1
    CHECK e
    cmp dword [scratch + 2], gdt
    CHECK e
    sidt [scratch]
    cmp dword [scratch + 2], IDT
    CHECK e
    str eax
    cmp eax, TSS
    CHECK e
    test byte [gdt + TSS + 5], 2                ; busy
    CHECK nz
    mov eax, TSS
    FAULTS 13, TSS, ltr ax
    smsw eax
    test al, 1
    CHECK nz
    mov eax, 0x0
    lmsw ax                                     ; cannot clear PE
    smsw eax
    test al, 1
    CHECK nz
    CHECKPOINT 18                               ; call gate to ring 0 with two parameters, from ring 3
    mov eax, gate_target
    mov [MORE(10)], ax
    mov word [MORE(10) + 2], CODE0
    mov word [MORE(10) + 4], 0xEC02             ; 386 call gate, DPL 3, 2 parameters
    shr eax, 16
    mov [MORE(10) + 6], ax
    SET_GATE 0x30, kernel_open, 0xEE
    SET_GATE 0x32, finish, 0xEE
    mov [kernel_esp], esp
    push DATA3
    push 0x5800
    push CODE3
    push ring3
    retf
ring3:
    mov eax, DATA3
    mov ds, eax
    mov es, eax
    mov eax, cs
    cmp eax, CODE3
    CHECK e
    CHECKPOINT 19
    push 0x1111
    push 0x2222
    call (SEL(10) | 3):0
    cmp esp, 0x5800                             ; retf 8 released the parameters on both stacks
    CHECK e
    CHECKPOINT 20                               ; privileged instructions
    FAULTS 13, 0, cli
    FAULTS 13, 0, hlt
    FAULTS 13, 0, mov eax, cr0
    FAULTS 13, 0, lgdt [scratch]
    FAULTS 13, 0, lidt [scratch]
    FAULTS 13, 0, lmsw ax
    FAULTS 13, 0, clts
    FAULTS 13, 0, invlpg [scratch]
    FAULTS 13, 0, wbinvd
    FAULTS 13, 0, ltr ax
    FAULTS 13, 0, mov dr0, eax
    FAULTS 13, 0, rdmsr
    mov eax, DATA0
    FAULTS 13, DATA0, mov es, eax
    CHECKPOINT 21                               ; I/O bitmap: port F5 forbidden, then allowed
    FAULTS 13, 0, in al, 0xF5
    FAULTS 13, 0, out 0xF5, ax
    int 0x30                                    ; the kernel opens port F5
    in al, 0xF5
    cmp al, 0x5A
    CHECK e
    FAULTS 13, 0, in ax, 0xF5                   ; F6 is still closed
    CHECKPOINT 22                               ; software interrupts below the gate's DPL
    FAULTS 13, 0x29 * 8 + 2, int 0x29
    CHECKPOINT 23                               ; a user stack that ends: #SS
    DESC 11, 0x00005FFF, 0x0040F300
    mov eax, SEL(11) | 3
    mov ss, eax
    mov esp, 0x6002
    FAULTS 12, 0, push eax
    mov eax, DATA3
    mov ss, eax
    mov esp, 0x5800
    jmp to_kernel
gate_target:
    push eax
    mov eax, cs
    cmp eax, CODE0
    CHECK e
    pop eax
    cmp dword [esp + 4], CODE3
    CHECK e
    cmp dword [esp + 8], 0x2222
    CHECK e
    cmp dword [esp + 12], 0x1111
    CHECK e
    cmp dword [esp + 16], 0x57F8
    CHECK e
    cmp dword [esp + 20], DATA3
    CHECK e
    retf 8
to_kernel:
    int 0x32
kernel_open:
    push ds
    push eax
    mov eax, DATA0
    mov ds, eax
    and byte [tss + 0x68 + 0xF5 / 8], ~(1 << (0xF5 & 7))
    pop eax
    pop ds
    iretd
finish:
    mov eax, DATA0
    mov ds, eax
    cmp byte [finish_again], 1
    je passed
    mov eax, [esp + 4]
    cmp eax, CODE3
    CHECK e
    CHECKPOINT 24                               ; returning to ring 3 drops segments it may not hold
    mov eax, DATA0
    mov fs, eax
    mov esp, [kernel_esp]
    push DATA3
    push 0x5800
    push 0x202
    push CODE3
    push again3
    iretd
again3:
    mov eax, fs
    mov ebx, DATA3
    mov ds, ebx
    test eax, eax
    CHECK z
    mov byte [finish_again], 1
    int 0x32
passed:
    PASS
finish_again: db 0
    align 8
ldt: dq 0, 0x00CF93000000FFFF
null_check_target: dw 0x7F8
scratch: times 16 db 0
kernel_esp: dd 0
