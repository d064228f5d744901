; Loops outside 64-bit mode that a translator has made code of before something happens: a segment's limit, stacks that wrap or grow
; down, addresses that wrap at 4 GiB, the code segment's limit, the same code under two CS bases and limits.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
%define SEL(n) (0x30 + (n) * 8)
%define MORE(n) (gdt_more + (n) * 8)
%define AREA 0x30000
%macro DESC 3                   ; index, low, high
    mov dword [MORE(%1)], %2
    mov dword [MORE(%1) + 4], %3
%endmacro
%macro EXPECT 3                 ; vector, error code, where to go on
    mov dword [expect_vector], %1
    mov dword [expect_error], %2
    mov dword [resume], %3
%endmacro
%macro COPY 2                   ; from label, to its end label: to AREA + its offset
    mov esi, %1
    mov edi, AREA
    mov ecx, %2 - %1
    rep movsb
%endmacro
    CHECKPOINT 1                ; bytes up to the limit of ES, words over it
    DESC 0, 0x0000001F, 0x00409303              ; base 30000, limit 1F
    mov eax, SEL(0)
    mov es, eax
    xor edi, edi
    EXPECT 13, 0, .past_limit
.fill:
    mov [es:edi], dl
    inc edi
    jmp .fill
.past_limit:
    cmp dword [got_rip], .fill
    CHECK e
    cmp edi, 0x20
    CHECK e
    xor edi, edi
    EXPECT 13, 0, .past_word
.words:
    add ax, [es:edi + 1]
    add edi, 2
    jmp .words
.past_word:
    cmp edi, 0x1E
    CHECK e
    mov ecx, 5                                  ; the segment grows while the loop stays
.wider:
    mov eax, ecx
    shl eax, 4
    mov [MORE(0)], ax
    mov word [MORE(0) + 2], 0
    mov eax, SEL(0)
    mov es, eax
    xor edi, edi
    EXPECT 13, 0, .past_wider
.fill2:
    mov [es:edi], dl
    inc edi
    jmp .fill2
.past_wider:
    mov eax, ecx
    shl eax, 4
    inc eax
    cmp eax, edi
    CHECK e
    loop .wider
    CHECKPOINT 2                                ; read-only, then writable, then null; the same code
    DESC 1, 0x0000FFFF, 0x00CF9100
    mov ecx, 6
.rights:
    mov eax, SEL(1)
    mov es, eax
    EXPECT 13, 0, .no_right
    mov edi, AREA
    call store_es
    ud2
.no_right:
    add esp, 4
    mov eax, DATA0
    mov es, eax
    call store_es
    xor eax, eax
    mov es, eax
    EXPECT 13, 0, .null
    call store_es
    ud2
.null:
    add esp, 4
    mov dword [expect_vector], -1
    loop .rights
    mov eax, DATA0
    mov es, eax
    CHECKPOINT 3                                ; expand-down data: what lies at or below the limit is outside
    DESC 2, 0x00000FFF, 0x00409703              ; base 30000
    mov eax, SEL(2)
    mov es, eax
    mov edi, 0x1010
    EXPECT 13, 0, .below
.down:
    mov [es:edi], dl
    dec edi
    jmp .down
.below:
    cmp edi, 0xFFF
    CHECK e
    mov eax, DATA0
    mov es, eax
    CHECKPOINT 4                                ; a 16-bit stack wraps, and leaves the upper half of ESP alone
    DESC 3, 0x0000FFFF, 0x00009302              ; base 20000, limit FFFF, SP
    mov eax, SEL(3)
    mov [old_esp], esp
    mov ebx, 20
.wrap_loop:
    mov ss, eax
    mov esp, 0x12340004
    push dword 0x11111111
    push ebx
    cmp esp, 0x1234FFFC
    CHECK e
    cmp [0x2FFFC], ebx
    CHECK e
    push bx
    cmp esp, 0x1234FFFA
    CHECK e
    pop cx
    cmp cx, bx
    CHECK e
    pop ecx
    cmp ecx, ebx
    CHECK e
    cmp esp, 0x12340000
    CHECK e
    call .through
    cmp esp, 0x12340000
    CHECK e
    mov bp, sp
    mov esp, 0x56780100
    mov ebp, 0x9ABC0000
    leave
    cmp esp, 0x56780004
    CHECK e
    cmp ebp, 0x11111111
    CHECK e
    dec ebx
    jnz .wrap_loop
    jmp .wrapped
.through:
    cmp esp, 0x1234FFFC
    CHECK e
    ret
.wrapped:
    mov esp, 0x0000FFFE                         ; four bytes at FFFE: #SS
    EXPECT 12, 0, .stack_limit
    pop eax
    ud2
.stack_limit:
    cmp esp, 0xFFFE
    CHECK e
    mov eax, DATA0
    mov ss, eax
    mov esp, [old_esp]
    CHECKPOINT 5                                ; addresses wrap at 4 GiB
    mov ecx, 20
    mov eax, 0xFFFFFFF0
    mov edx, 0x40000000
.wrap4g:
    mov ebx, [eax + marker + 0x10]
    cmp ebx, 0x600DF00D
    CHECK e
    mov ebx, [eax + edx * 4 + marker + 0x10]
    cmp ebx, 0x600DF00D
    CHECK e
    lea ebx, [eax + edx * 8 + 0x20]
    cmp ebx, 0x10
    CHECK e
    a16 lea ebx, [bx + 0x7FF8]
    cmp ebx, 0x8008
    CHECK e
    inc dword [eax + counter + 0x10]
    dec byte [eax + counter + 0x10]
    loop .wrap4g
    EXPECT 13, 0, .end_of_memory
    mov ebx, [eax + 0x0D]                       ; FFFFFFFD to 100000000
    ud2
.end_of_memory:
    CHECKPOINT 6                                ; a limit of CS in the middle of an instruction; the same code with a wider one
    COPY limited, limited_end
    DESC 4, limited.straddles - limited + 2, 0x00409B03
    DESC 5, 0x0000FFFF, 0x00409B03
    mov edi, 6
.limits:
    mov eax, 1
    EXPECT 13, 0, 0
    call SEL(4):limited.entry - limited
    cmp eax, 2
    CHECK e
    cmp dword [got_rip], limited.straddles - limited
    CHECK e
    cmp dword [expect_vector], -1
    CHECK e
    mov eax, 1
    call SEL(5):limited.entry - limited
    cmp eax, 0x55667788
    CHECK e
    dec edi
    jnz .limits
    CHECKPOINT 7                                ; jumps, calls and returns beyond it
    mov edi, 6
.jumps:
    EXPECT 13, 0, 0
    call SEL(4):limited.jump - limited
    cmp dword [got_rip], limited.jump - limited
    CHECK e
    EXPECT 13, 0, 0
    xor eax, eax
    call SEL(4):limited.conditional - limited
    cmp dword [got_rip], limited.taken - limited
    CHECK e
    EXPECT 13, 0, 0
    call SEL(4):limited.indirect - limited
    cmp dword [got_rip], limited.through_eax - limited
    CHECK e
    EXPECT 13, 0, 0
    mov ecx, 3
    call SEL(4):limited.looping - limited
    cmp dword [got_rip], limited.looping - limited
    CHECK e
    cmp ecx, 3
    CHECK e
    dec edi
    jnz .jumps
    CHECKPOINT 8                                ; the same bytes under two CS bases
    DESC 6, 0xFFF0FFFF, 0x00409B02              ; base 2FFF0
    mov edi, 10
.bases:
    call SEL(5):limited.where - limited
    cmp eax, limited.here - limited
    CHECK e
    call SEL(6):limited.where - limited + 16
    cmp eax, limited.here - limited + 16
    CHECK e
    dec edi
    jnz .bases
    CHECKPOINT 9                                ; 16-bit code: IP wraps in a jump; base off page bounds too
    mov byte [AREA + 0xFFFD], 0xEB              ; jmp short +5, over the end
    mov byte [AREA + 0xFFFE], 5
    mov esi, code16
    mov edi, AREA + 4
    mov ecx, code16_end - code16
    rep movsb
    DESC 7, 0x0000FFFF, 0x00009B03              ; base 30000, 16-bit
    mov edi, 10
    xor ebp, ebp
.wraps:
    call SEL(7):0xFFFD
    dec edi
    jnz .wraps
    cmp ebp, 100
    CHECK e
    CHECKPOINT 10                               ; string instructions and XLAT through a segment with a base
    DESC 8, 0x0000FFFF, 0x00409303
    mov eax, SEL(8)
    mov es, eax
    mov edx, 8
.strings:
    mov esi, marker
    mov edi, 0x100
    movsd
    cmp dword [AREA + 0x100], 0x600DF00D
    CHECK e
    mov dword [es:0x100], edx
    mov ebx, 0x100
    xor eax, eax
    es xlatb
    cmp al, dl
    CHECK e
    dec edx
    jnz .strings
    mov eax, DATA0
    mov es, eax
    CHECKPOINT 11                               ; an expand-down stack in ring 3 ends: #SS
    SET_GATE 0x32, finish, 0xEE
    DESC 9, 0x00005FFF, 0x0040F700
    push DATA3
    push 0x5800
    push CODE3
    push ring3
    retf
ring3:
    mov eax, DATA3
    mov ds, eax
    mov es, eax
    mov ecx, 5
.again:
    mov eax, SEL(9) | 3
    mov ss, eax
    mov esp, 0x6040
    EXPECT 12, 0, .ended
.pushes:
    push eax
    jmp .pushes
.ended:
    cmp esp, 0x6000
    CHECK e
    loop .again
    mov eax, DATA3
    mov ss, eax
    mov esp, 0x5800
    CHECKPOINT 12                               ; PUSHA, POPA, ENTER, LEAVE, BOUND
    mov edi, 10
.frames:
    mov esp, 0x5800
    mov eax, 0x11
    pusha
    mov eax, 0x22
    mov ebx, 0x33
    popa
    cmp eax, 0x11
    CHECK e
    enter 16, 1
    mov [ebp - 8], eax
    cmp dword [ebp - 8], 0x11
    CHECK e
    leave
    cmp esp, 0x5800
    CHECK e
    push word 0x1234
    push word 0x5678
    pop eax
    cmp eax, 0x12345678
    CHECK e
    push dword [marker]
    pop edx
    cmp edx, 0x600DF00D
    CHECK e
    bound eax, [bounds]
    dec edi
    jnz .frames
    int 0x32
store_es:
    mov [es:edi], dl
    ret
finish:
    mov eax, DATA0
    mov ds, eax
    PASS
limited:                        ; runs at AREA under its own CS; a fault goes on at offset 0
    mov dword [expect_vector], -1
    retf
.indirect:
    mov eax, 0x40000
.through_eax:
    jmp eax
.looping:
    loop limited + 0x5F
.jump:
    jmp near limited + 0x300
.conditional:
    test eax, eax
.taken:
    jz near limited + 0x300
    retf
.entry:
    inc eax
.straddles:
    mov eax, 0x55667788
    retf
.where:
    call .here
.here:
    pop eax
    retf
    times limited + 0x60 - $ nop
limited_end:
    bits 16
code16:
    mov cx, 10
.turn:
    inc bp
    loop .turn
    o32 retf
code16_end:
    bits 32
    align 4
marker: dd 0x600DF00D
counter: dd 0
bounds: dd 0, 0x7FFFFFFF
old_esp: dd 0
