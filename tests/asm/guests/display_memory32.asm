; host clock: too  Page tables, PAE's pointers, descriptor tables, TSS, stacks and code lie in a device's memory (A0000H), 32-bit mode.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define NEW_IDT 0xA2000
%define NEW_GDT 0xA3000
%define NEW_LDT 0xA3800
%define PAGE_DIR 0xA4000
%define TABLE 0xA5000
%define NEW_TSS 0xA6800
%define CODE 0xA8000
%define PDPTES 0xAA020
%define PAE_DIR 0xAB000
%define LDT_SELECTOR 0x30
%define TSS_SELECTOR 0x38
    CHECKPOINT 1                                ; accessed bits of a GDT there
    mov esi, gdt
    mov edi, NEW_GDT
    mov ecx, 256
    rep movsb
    mov byte [NEW_GDT + 0x0D], 0x9A
    mov byte [NEW_GDT + 0x15], 0x92
    mov dword [NEW_GDT + LDT_SELECTOR], (NEW_LDT & 0xFFFF) << 16 | 0xFF
    mov dword [NEW_GDT + LDT_SELECTOR + 4], 0x00008200 | (NEW_LDT >> 16)
    mov dword [NEW_GDT + TSS_SELECTOR], (NEW_TSS & 0xFFFF) << 16 | 0x88
    mov dword [NEW_GDT + TSS_SELECTOR + 4], 0x00008900 | (NEW_TSS >> 16)
    mov dword [NEW_LDT + 8], 0x0000FFFF
    mov dword [NEW_LDT + 12], 0x00CF9200
    lgdt [new_gdt]
    mov eax, DATA0
    mov fs, eax
    test byte [NEW_GDT + 0x15], 1
    CHECK nz
    jmp CODE0:.reloaded
.reloaded:
    test byte [NEW_GDT + 0x0D], 1
    CHECK nz
    CHECKPOINT 2                                ; LDT and TSS there
    mov eax, LDT_SELECTOR
    lldt ax
    mov eax, 0x0C
    mov gs, eax
    test byte [NEW_LDT + 13], 1
    CHECK nz
    mov esi, tss
    mov edi, NEW_TSS
    mov ecx, tss_end - tss + 1
    rep movsb
    mov eax, TSS_SELECTOR
    ltr ax
    test byte [NEW_GDT + TSS_SELECTOR + 5], 2
    CHECK nz
    lar ecx, eax
    CHECK z
    CHECKPOINT 3                                ; IDT there: a fault's delivery reads it and the GDT
    mov esi, IDT
    mov edi, NEW_IDT
    mov ecx, 0x800
    rep movsb
    lidt [new_idt]
    FAULTS 6, 0, ud2
    FAULTS 13, 0xFFF8, mov fs, [far_selector]
    CHECKPOINT 4                                ; and pushes on a stack there
    mov [saved_esp], esp
    mov esp, 0xAF800
    FAULTS 6, 0, ud2
    push dword 0x1234
    pop ecx
    cmp ecx, 0x1234
    CHECK e
    mov esp, 0xB0008                            ; across two pages of it
    FAULTS 6, 0, ud2
    mov esp, [saved_esp]
    CHECKPOINT 5                                ; page tables there: A and D bits
    mov edi, PAGE_DIR
    xor eax, eax
    mov ecx, 0x2000 / 4
    rep stosd
    mov dword [PAGE_DIR], 0x83
    mov dword [PAGE_DIR + 4], TABLE | 7
    mov dword [TABLE], 0x100000 | 3
    mov dword [TABLE + 4], 0x101000 | 1
    mov dword [TABLE + 8], 0x102000
    mov eax, cr4
    or eax, 0x10                                ; PSE
    mov cr4, eax
    mov eax, PAGE_DIR
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    jmp short .paged
.paged:
    test byte [PAGE_DIR], 0x20
    CHECK nz
    mov eax, [0x400000]
    test byte [TABLE], 0x20
    CHECK nz
    test byte [TABLE], 0x40
    CHECK z
    mov dword [0x400010], 0x12345678
    test byte [TABLE], 0x40
    CHECK nz
    cmp dword [0x100010], 0x12345678
    CHECK e
    CHECKPOINT 6                                ; faults, and entries that change
    FAULTS 14, 0, mov eax, [0x402123]
    FAULTS 14, 3, mov [0x401000], eax
    mov dword [TABLE + 8], 0x102000 | 3
    mov dword [0x402124], 0x55AA
    cmp dword [0x102124], 0x55AA
    CHECK e
    mov dword [TABLE + 8], 0x103000 | 3
    invlpg [0x402000]
    mov dword [0x402124], 0xAA55
    cmp dword [0x103124], 0xAA55
    CHECK e
    FAULTS 14, 3, mov [0x400FFE], eax           ; across two pages of which the second is read-only
    CHECKPOINT 7                                ; code there, often, across its pages, changed by itself
    mov esi, code
    mov edi, CODE - (code.cross - code) - 2
    mov ebx, edi
    mov ecx, code_end - code
    rep movsb
    mov ebp, 50
    xor edx, edx
.again:
    call ebx
    dec ebp
    jnz .again
    cmp edx, 50 * 0x1003
    CHECK e
    mov byte [ebx + 2], 4                       ; the immediate of the first instruction
    xor edx, edx
    call ebx
    cmp edx, 0x1004
    CHECK e
    CHECKPOINT 8                                ; from the last byte there to RAM
    mov byte [0xBFFFF], 0x81                    ; add edx, imm32
    mov dword [0xC0000], 0x111111C2
    mov word [0xC0004], 0xC311
    mov ebp, 20
    xor edx, edx
    mov ebx, 0xBFFFF
.twice:
    call ebx
    dec ebp
    jnz .twice
    cmp edx, 20 * 0x11111111 & 0xFFFFFFFF
    CHECK e
    CHECKPOINT 9                                ; PAE's pointers and directory there
    mov edi, PAE_DIR
    xor eax, eax
    mov ecx, 0x400
    rep stosd
    mov edi, PDPTES
    mov ecx, 8
    rep stosd
    mov dword [PDPTES], PAE_DIR | 1
    mov dword [PAE_DIR], 0x83
    mov dword [PAE_DIR + 8], 0x83               ; 200000H -> 0
    mov eax, cr0
    and eax, 0x7FFFFFFF
    mov cr0, eax
    mov eax, PDPTES
    mov cr3, eax
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp short .pae
.pae:
    mov eax, [0x100010 + 0x200000]
    cmp eax, 0x12345678
    CHECK e
    test byte [PAE_DIR + 8], 0x20
    CHECK nz
    test byte [PAE_DIR + 8], 0x40
    CHECK z
    FAULTS 14, 0, mov eax, [0x400000]
    PASS
    align 4
code:
    add edx, byte 3
    nop
.cross:
    add edx, 0x1000
    ret
code_end:
far_selector: dw 0xFFF8
new_gdt:
    dw 0x1FF
    dd NEW_GDT
new_idt:
    dw 0x7FF
    dd NEW_IDT
saved_esp: dd 0
