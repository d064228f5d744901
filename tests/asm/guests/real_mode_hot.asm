; Real mode in hot loops: segment registers loaded and stored, string instructions up, down and over the end of a segment, data and
; stack on the page of the code, code that changes itself and its neighbours again and again.
; SPDX-License-Identifier: MIT
%include "real16.inc"
    mov sp, 0x8C00              ; on a page with code of its own: see CHECKPOINT 5
    CHECKPOINT 1                ; bases follow selectors: DS, ES, FS, GS by register, memory, stack
    mov bp, 40
.segments:
    mov ax, 0x2000
    add ax, bp
    mov ds, ax
    mov [0x10], ax
    mov es, ax
    cmp [es:0x10], ax
    CHECK e
    dec ax
    mov es, ax
    inc ax
    cmp [es:0x20], ax
    CHECK e
    push ax
    pop fs
    mov [cs:word_], ax
    mov gs, [cs:word_]
    cmp [fs:0x10], ax
    CHECK e
    cmp [gs:0x10], ax
    CHECK e
    mov cx, gs
    cmp cx, ax
    CHECK e
    mov ecx, 0x12345678
    mov ecx, fs
    movzx edx, ax
    cmp ecx, edx
    CHECK e
    mov [cs:word_], ds
    cmp [cs:word_], ax
    CHECK e
    push ds
    push es
    push fs
    pop es
    mov si, 0x10
    cmp [es:si], ax
    CHECK e
    pop es
    pop ds
    o32 push ds
    o32 pop es
    mov bx, es
    cmp bx, ax
    CHECK e
    xor ax, ax
    mov ds, ax
    dec bp
    jnz .segments
    CHECKPOINT 2                ; strings up and down
    mov bp, 20
.strings:
    mov ax, 0x3000
    mov es, ax
    xor ax, ax
    mov ds, ax
    cld
    mov si, start16
    xor di, di
    mov edi, 0x55550000
    movsb
    movsw
    movsd
    cmp edi, 0x55550007
    CHECK e
    mov eax, [start16 + 3]
    cmp [es:3], eax
    CHECK e
    mov eax, 0x11223344
    stosb
    stosw
    stosd
    cmp dword [es:7], 0x44334444
    CHECK e
    cmp di, 14
    CHECK e
    mov si, 7
    mov eax, 0xAAAAAAAA
    es lodsb
    cmp eax, 0xAAAAAA44
    CHECK e
    es lodsw
    cmp eax, 0xAAAA3344
    CHECK e
    es lodsd
    cmp eax, 0x11223344
    CHECK e
    std
    mov di, 0x10
    mov ax, bp
    stosw
    stosb
    cmp di, 0xD
    CHECK e
    cld
    mov di, 0xFFFF
    stosb
    cmp di, 0
    CHECK e
    cmp [es:0xFFFF], al
    CHECK e
    dec bp
    jnz .strings
    CHECKPOINT 3                ; a word at FFFF: #GP from the loop that has run up to it
    mov word [13 * 4], .gp
    mov di, 0xFF01
.to_the_end:
    stosw
    jmp .to_the_end
.gp:
    pop ax
    cmp ax, .to_the_end
    CHECK e
    pop ax
    popf
    cmp di, 0xFFFF
    CHECK e
    mov word [13 * 4], fail
    CHECKPOINT 4                ; divisions, multiplications, carries over 16 bits
    mov bp, 20
.numbers:
    mov ax, 0x1234
    mul bp
    div bp
    cmp ax, 0x1234
    CHECK e
    test dx, dx
    CHECK z
    mov ax, bp
    mov bl, 7
    div bl
    mov cl, ah
    mov bh, al
    mov al, bh
    mul bl
    add al, cl
    cmp ax, bp
    CHECK e
    dec bp
    jnz .numbers
    CHECKPOINT 5                ; code on the stack's page, beside what is pushed; then changed by the pushes
    mov si, piece
    mov di, 0x8A00
    xor ax, ax
    mov es, ax
    mov cx, piece_end - piece
    rep movsb
    mov bp, 50
.beside:
    push bp
    call 0x8A00
    pop ax
    cmp ax, bp
    CHECK e
    cmp dx, 0x5678
    CHECK e
    dec bp
    jnz .beside
    mov bp, 50
.changing:
    mov [0x8A01], bp            ; mov dx, imm16
    call 0x8A00
    cmp dx, bp
    CHECK e
    dec bp
    jnz .changing
    CHECKPOINT 6                ; a string instruction that changes the code behind it, in its own block
    mov bp, 30
.own:
    mov ax, bp
    mov di, .changed + 1
    nop
    stosb
.changed:
    mov cl, 0
    cmp cl, al
    CHECK e
    mov ax, bp
    std
    mov di, .changed2 + 1
    stosb                       ; downward: not the same way for a translator
.changed2:
    mov cl, 0
    cld
    cmp cl, al
    CHECK e
    dec bp
    jnz .own
    CHECKPOINT 7                ; far calls through many segments to the same code
    mov bp, 30
.far:
    mov ax, bp
    neg ax
    add ax, (far_piece - $$ + 0x7C00) >> 4
    mov bx, bp
    shl bx, 4
    add bx, (far_piece - $$ + 0x7C00) & 15
    mov [target], bx
    mov [target + 2], ax
    call far [target]
    cmp dx, bx
    CHECK e
    dec bp
    jnz .far
    PASS
piece:
    mov dx, 0x5678
    ret
piece_end:
far_piece:
    call .here
.here:
    pop dx
    sub dx, .here - far_piece
    retf
target: dw 0, 0
word_: dw 0
