; REP INS and OUTS on a port that hands out runs (F8H, guest_machine.h): across a page, to the segment's limit, backwards, by words.
; SPDX-License-Identifier: MIT
%include "real16.inc"
; The port counts: byte n of its stream is n * 7 + 3.
    cld

    CHECKPOINT 1                ; words across a page end that splits one of them
    mov ax, 0x1001
    mov es, ax                  ; linear 10010
    mov di, 0x0F01
    mov cx, 256
    mov dx, 0xF8
    rep insw
    cmp cx, 0
    CHECK e
    cmp di, 0x1101
    CHECK e
    mov di, 0x0F01
    xor bx, bx
    mov cx, 512
    call verify

    CHECKPOINT 2                ; bytes: nothing of the stream is lost or doubled
    mov di, 0x2000
    mov cx, 1000
    rep insb
    mov di, 0x2000
    mov cx, 1000
    call verify

    CHECKPOINT 3                ; double words by a 32-bit count
    mov di, 0x3000
    mov ecx, 100
    rep insd
    mov di, 0x3000
    mov cx, 400
    call verify

    CHECKPOINT 4                ; backwards
    std
    mov di, 0x400F
    mov cx, 16
    rep insb
    cld
    cmp di, 0x3FFF
    CHECK e
    mov di, 0x400F
    mov cx, 16
.backwards:
    mov al, bl
    mov ah, 7
    mul ah
    add al, 3
    cmp al, [es:di]
    CHECK e
    inc bx
    dec di
    loop .backwards

    CHECKPOINT 5                ; the segment's end: #GP with the iterations before it done, none of the stream taken for the last
    mov word [13 * 4], .gp
    mov di, 0xFFF1
    mov cx, 100
.insw:
    rep insw
    jmp fail
.gp:
    pop ax
    cmp ax, .insw
    CHECK e
    add sp, 4
    cmp di, 0xFFFF
    CHECK e
    cmp cx, 93
    CHECK e
    mov di, 0xFFF1
    mov cx, 14
    call verify

    CHECKPOINT 6                ; OUTS: what the port is given must be its own stream from where it stands
    mov si, 0x2000
    push es
    pop ds
    mov al, 512 / 4             ; its write position: that of checkpoint 2
    out 0xF9, al
    mov cx, 500
    rep outsw
    xor ax, ax
    mov ds, ax
    cmp si, 0x23E8
    CHECK e
    in al, 0xF9                 ; how many bytes were wrong
    cmp al, 0
    CHECK e
    PASS

; CX bytes at ES:DI are the stream from BX on; BX goes on.
verify:
    mov al, bl
    mov ah, 7
    mul ah
    add al, 3
    cmp al, [es:di]
    jne fail
    inc bx
    inc di
    loop verify
    ret
