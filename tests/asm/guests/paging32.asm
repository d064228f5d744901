; 32-bit paging with 4 KiB and 4 MiB pages, then PAE: error codes, CR2, A and D bits, WP, user pages, INVLPG, NX reserved bits.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define PAGE_DIR 0x20000
%define TABLE 0x21000
%define PDPTES 0x24000
%define PAE_DIR 0x25000
%define PAE_TABLE 0x26000
    CHECKPOINT 1
    mov edi, PAGE_DIR
    xor eax, eax
    mov ecx, 0x10000 / 4
    rep stosd
    mov dword [PAGE_DIR], 0x83                  ; 0 to 4 MiB, one large page
    mov dword [PAGE_DIR + 4], TABLE | 7
    mov dword [TABLE], 0x100000 | 3             ; 400000 -> 100000, read/write
    mov dword [TABLE + 4], 0x101000 | 1         ; 401000: read only
    mov dword [TABLE + 8], 0x102000             ; 402000: absent
    mov dword [TABLE + 12], 0x103000 | 5        ; 403000: user, read only
    mov dword [TABLE + 16], 0x104000 | 7        ; 404000: user
    mov eax, cr4
    or eax, 0x10                                ; PSE
    mov cr4, eax
    mov eax, PAGE_DIR
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp short paged
paged:
    CHECKPOINT 2                                ; A and D bits
    mov eax, [0x400000]
    test byte [TABLE], 0x20
    CHECK nz
    test byte [TABLE], 0x40
    CHECK z
    mov dword [0x400010], 0x12345678
    test byte [TABLE], 0x40
    CHECK nz
    test byte [PAGE_DIR], 0x40
    CHECK nz
    cmp dword [0x100010], 0x12345678
    CHECK e
    CHECKPOINT 3                                ; absent: error code by access
    FAULTS 14, 0, mov eax, [0x402123]
    cmp dword [got_cr2], 0x402123
    CHECK e
    FAULTS 14, 2, mov [0x402124], eax
    cmp dword [got_cr2], 0x402124
    CHECK e
    FAULTS 14, 2, add [0x402128], eax
    FAULTS 14, 0, mov eax, [0x800000]
    CHECKPOINT 4                                ; crossing into the absent page: CR2 is the second page, nothing stored
    mov dword [0x401FFC], eax                   ; WP clear: the supervisor may write
    mov dword [0x101FFC], 0x55555555
    FAULTS 14, 2, mov dword [0x401FFE], 0xAAAAAAAA
    cmp dword [got_cr2], 0x402000
    CHECK e
    cmp dword [0x101FFC], 0x55555555
    CHECK e
    CHECKPOINT 5                                ; WP
    mov eax, cr0
    or eax, 0x10000
    mov cr0, eax
    FAULTS 14, 3, mov [0x401000], eax
    mov eax, [0x401000]
    mov eax, cr0
    and eax, ~0x10000
    mov cr0, eax
    mov [0x401000], eax
    CHECKPOINT 6                                ; a stale TLB entry may live until INVLPG; after it the new one counts
    mov eax, [0x400010]
    mov dword [TABLE], 0x105000 | 3
    invlpg [0x400000]
    mov dword [0x105010], 0x77
    cmp dword [0x400010], 0x77
    CHECK e
    CHECKPOINT 7                                ; user mode
    SET_GATE 0x30, kernel, 0xEE
    mov dword [0x404000], 0x0F30CD90            ; nop; int 30h
    mov byte [0x404010], 0xA1                   ; mov eax, [400000]; int 30h: supervisor page
    mov dword [0x404011], 0x400000
    mov word [0x404015], 0x30CD
    push DATA3
    push 0x404F00
    push 2
    push CODE3
    push 0x404000
    iretd
kernel:
    mov eax, DATA0
    mov ds, eax
    CHECKPOINT 8
    mov esp, STACK0 - 0x800
    mov dword [expect_vector], 14
    mov dword [expect_error], 5
    mov dword [resume], 0x404015
    SET_GATE 0x30, kernel2, 0xEE
    mov eax, DATA3                              ; one that ring 3 may keep
    mov ds, eax
    push DATA3
    push 0x404F00
    push 2
    push CODE3
    push 0x404010
    iretd
kernel2:
    mov esp, STACK0 - 0x800
    cmp dword [got_rip], 0x404010
    CHECK e
    cmp dword [got_cr2], 0x400000
    CHECK e
    CHECKPOINT 9                                ; SMEP: user code is not for the supervisor
    mov byte [0x404020], 0xC3
    mov eax, 0x404020
    call eax
    mov eax, cr4
    or eax, 1 << 20
    mov cr4, eax
    mov dword [expect_vector], 14
    mov dword [expect_error], 1                 ; without NX or PAE... the fetch bit counts with SMEP
    mov dword [expect_error], 0x11
    mov dword [resume], after_smep
    mov eax, 0x404020
    call eax
    ud2
after_smep:
    cmp dword [got_rip], 0x404020
    CHECK e
    add esp, 4
    mov eax, cr4
    and eax, ~(1 << 20)
    mov cr4, eax
    CHECKPOINT 10                               ; SMAP and AC
    mov eax, cr4
    or eax, 1 << 21
    mov cr4, eax
    FAULTS 14, 1, mov eax, [0x404000]
    FAULTS 14, 3, mov [0x404000], eax
    stac
    mov eax, [0x404000]
    clac
    FAULTS 14, 1, mov eax, [0x404000]
    mov eax, cr4
    and eax, ~(1 << 21)
    mov cr4, eax
    CHECKPOINT 11                               ; off, then PAE
    mov eax, cr0
    and eax, 0x7FFFFFFF
    mov cr0, eax
    mov dword [PDPTES], PAE_DIR | 1
    mov dword [PAE_DIR], 0x83
    mov dword [PAE_DIR + 8], 0x200083
    mov dword [PAE_DIR + 16], PAE_TABLE | 7     ; 400000
    mov dword [PAE_TABLE], 0x100000 | 3
    mov dword [PAE_TABLE + 4], 0x80000000       ; NX
    mov dword [PAE_TABLE + 8], 0x100000 | 3
    mov dword [PAE_TABLE + 12], 0x00100000      ; a reserved physical-address bit (52)
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, 0x800
    wrmsr
    mov eax, PDPTES
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp short pae
pae:
    CHECKPOINT 12
    cmp dword [0x400010], 0x12345678
    CHECK e
    CHECKPOINT 13                               ; NX: fetch, present
    mov dword [expect_vector], 14
    mov dword [expect_error], 0x11
    mov dword [resume], after_nx
    mov byte [0x400000], 0xC3
    mov eax, 0x400000
    call eax
    ud2
after_nx:
    add esp, 4
    cmp dword [got_cr2], 0x400000
    CHECK e
    CHECKPOINT 14                               ; reserved bits: bit 3
    FAULTS 14, 9, mov eax, [0x401000]
    CHECKPOINT 15                               ; a PDPTE with reserved bits: #GP on MOV CR3
    mov dword [PDPTES + 8], 0x1E7
    mov eax, PDPTES
    FAULTS 13, 0, mov cr3, eax
    CHECKPOINT 16                               ; CR0 and CR4 combinations
    mov eax, cr0
    and eax, ~1
    FAULTS 13, 0, mov cr0, eax
    mov eax, cr4
    or eax, 1 << 31
    FAULTS 13, 0, mov cr4, eax
    mov eax, cr4
    or eax, 1 << 17                             ; PCIDE outside long mode
    FAULTS 13, 0, mov cr4, eax
    PASS
