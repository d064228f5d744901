; RF was pushed clear between a repeat's iterations, lost by IRET under RF, and B0 to B3 of DR6 kept old hits.
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
%define APIC 0xFEE00000
    STEP_LOG
    SET_GATE 0x40, tick, 0x8E00
    jmp start
tick:                               ; an interrupt: what it pushed, and where
    push rax
    mov rax, [rsp + 8]
    mov [got_rip], rax
    mov rax, [rsp + 24]
    mov [got_flags], rax
    inc r14
    mov dword [r8 + 0xB0], 0
    pop rax
    iretq
start:
    CHECKPOINT 1                    ; an instruction breakpoint on a repeat: once, before the first iteration
    SET_GATE 1, stop_once, 0x8E00
    ARM 0, .repeat, 0, 0
    mov edi, 0x300000
    mov ecx, 4
    NO_TRAPS
.repeat:
    rep stosb
    TRAPS 1
    TRAP 0, .repeat
    test dword [LOG_FLAGS], 0x10000
    CHECK z
    jmp stepped
stop_once:
    push rax
    mov rax, [rsp + 8]
    mov [LOG], rax
    mov rax, [rsp + 24]
    mov [LOG_FLAGS], rax
    mov rax, dr6
    mov [LOG_DR6], rax
    or dword [rsp + 24], 0x10000
    inc r15
    pop rax
    iretq
stepped:
    CHECKPOINT 2                    ; the same while stepping: iterations' traps, returned from with RF, hit it no more
    SET_GATE 1, stop_first, 0x8E00
    mov eax, repeat2
    mov dr0, rax
    mov ecx, 3
    mov edi, 0x300000
    STEP
repeat2:
    rep stosb
.end:
    STEP_END
    TRAPS 7                         ; the breakpoint, three iterations, three of STEP_END
    TRAP_DR6 0, 0xFFFF0FF1
    TRAP_DR6 1, 0xFFFF4FF0
    TRAP 3, .end
    jmp nested
stop_first:                         ; the logger, but a breakpoint's image gets RF
    test r15, r15
    jnz step_logger
    or dword [rsp + 16], 0x10000
    jmp step_logger
nested:
    CHECKPOINT 3                    ; IRETQ that runs under RF itself and loads it
    SET_GATE 1, stop_once, 0x8E00
    mov eax, .outer
    mov dr0, rax
    mov eax, .inner
    mov dr1, rax
    mov eax, 0x40A
    mov dr7, rax
    mov rax, rsp
    push DATA0
    push rax
    push 0x10002
    push CODE0
    push .inner
    NO_TRAPS
.outer:
    iretq                           ; stops, goes on with RF
.inner:
    nop                             ; passed over with the RF that it loads
    TRAPS 1
    TRAP 0, .outer
    CHECKPOINT 4                    ; general detect: a fault with RF in the image
    mov eax, 0x2400
    mov dr7, rax
    NO_TRAPS
.detect:
    mov rcx, dr7                    ; GD is clear in the handler, so it goes on
    TRAPS 1
    TRAP 0, .detect
    TRAP_DR6 0, 0xFFFF2FF0
    test dword [LOG_FLAGS], 0x10000
    CHECK nz
    CHECKPOINT 5                    ; B0 to B3 go with the next exception; BD, BS, BT stay
    mov eax, 0xFFFFEFFF
    mov dr6, rax
    mov eax, 0x300100
    mov dr2, rax
    mov eax, 0x01000420             ; 2: byte, write
    mov dr7, rax
    NO_TRAPS
    mov byte [0x300100], 1
    TRAPS 1
    TRAP_DR6 0, 0xFFFFEFF4
    DISARM
    CHECKPOINT 6                    ; an interrupt between iterations pushes RF set
    xor eax, eax
    mov dr6, rax
    mov r8d, APIC                   ; map the local APIC: 2 MiB page
    mov dword [PDPT + 3 * 8], 0x23000 | 7
    mov dword [PDPT + 3 * 8 + 4], 0
    mov edi, 0x23000
    xor eax, eax
    mov ecx, 0x1000 / 4
    rep stosd
    mov dword [0x23000 + 0x1F7 * 8], 0xFEE00000 | 0x83
    mov dword [r8 + 0xF0], 0x1FF
    mov dword [r8 + 0x3E0], 0xB     ; by 1
    mov dword [r8 + 0x320], 0x40
    xor r14d, r14d
    mov edi, 0x300000
    mov ecx, 3000
    sti
    mov dword [r8 + 0x380], 1000    ; ticks
.long:
    rep stosb
.long_end:
    cli
    cmp r14, 1
    CHECK e
    mov rax, .long
    cmp [got_rip], rax
    CHECK e
    test dword [got_flags], 0x10000
    CHECK nz
    CHECKPOINT 7                    ; one between other instructions pushes it clear, also behind that IRETQ
    mov ecx, 3000
    xor r14d, r14d
    sti
    mov dword [r8 + 0x380], 1000
.spin:
    dec ecx
    jnz .spin
    cli
    cmp r14, 1
    CHECK e
    test dword [got_flags], 0x10000
    CHECK z
    PASS
