; I/O breakpoints (CR4.DE, R/W = 10) were never hit.  host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
%macro HITS 1+
    NO_TRAPS
    %1
%%behind:
    TRAPS 1
    TRAP 0, %%behind
    TRAP_DR6 0, 0xFFFF0FF1
%endmacro
%macro MISSES 1+
    NO_TRAPS
    %1
    TRAPS 0
%endmacro
    STEP_LOG
    CHECKPOINT 1                    ; without CR4.DE the field means nothing
    ARM 0, 0x80, 2, 0
    MISSES out 0x80, al
    CHECKPOINT 2
    mov rax, cr4
    or eax, 8
    mov cr4, rax
    HITS out 0x80, al
    HITS in al, 0x80
    HITS out 0x80, eax
    HITS in ax, 0x7F
    HITS in eax, 0x7D
    MISSES in al, 0x81
    MISSES in ax, 0x7E
    mov edx, 0x10080
    HITS in al, dx
    HITS out dx, ax
    MISSES mov [0x80], al           ; memory is not a port
    CHECKPOINT 3                    ; lengths align the port
    ARM 0, 0x86, 2, 3
    HITS in al, 0x84
    HITS in al, 0x87
    HITS in eax, 0x81
    MISSES in al, 0x83
    MISSES in al, 0x88
    CHECKPOINT 4                    ; a repeat: an iteration each
    ARM 0, 0xF8, 2, 0
    mov edx, 0xF8
    mov edi, 0x300000
    mov ecx, 3
    NO_TRAPS
.ins:
    rep insb
.ins_end:
    TRAPS 3
    TRAP 0, .ins
    TRAP 2, .ins_end
    cmp edi, 0x300003
    CHECK e
    mov esi, 0x300000
    mov ecx, 2
    NO_TRAPS
.outs:
    rep outsd
.outs_end:
    TRAPS 2
    TRAP 0, .outs
    TRAP 1, .outs_end
    CHECKPOINT 5                    ; port and memory in one instruction
    mov eax, 0x300010
    mov dr1, rax
    mov eax, 0x0012040A             ; 0: I/O; 1: byte, write
    mov dr7, rax
    mov edi, 0x300010
    mov ecx, 1
    NO_TRAPS
    rep insb
    TRAPS 1
    TRAP_DR6 0, 0xFFFF0FF3
    CHECKPOINT 6                    ; an access that faults hits nothing
    mov edi, 0xFFF00000
    mov ecx, 1
    NO_TRAPS
    mov dword [expect_vector], 14
    mov dword [expect_error], 2
    mov qword [resume], .faulted
    rep insb
.faulted:
    TRAPS 0
    CHECKPOINT 7                    ; disarmed
    DISARM
    MISSES out 0xF8, al
    PASS
