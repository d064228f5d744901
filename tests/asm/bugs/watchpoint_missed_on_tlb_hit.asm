; A watchpoint was missed after any other access to its page, and by whatever did not go through the slow path.  host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
%define W 0x300100                  ; 8 bytes watched
%define NEXT 0x301000               ; the page behind
%macro HITS 1+                      ; one trap, right behind
    NO_TRAPS
    %1
%%behind:
    TRAPS 1
    TRAP 0, %%behind
%endmacro
%macro MISSES 1+
    NO_TRAPS
    %1
    TRAPS 0
%endmacro
%macro WRITES 1+                    ; again and again, whatever was read before
    mov rax, [W]
    HITS %1
    mov rax, [W + 0x200]
    HITS %1
%endmacro
    STEP_LOG
    SET_GATE 0x30, soft, 0xEF00
    jmp start
soft:
    nop
    iretq
start:
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 3
    xsetbv
    mov qword [W], 0
    mov qword [NEXT], 0
    mov ebx, W
    mov r12, rsp
    fninit
    CHECKPOINT 1                    ; write: lengths, neighbours, DR6
    ARM 2, W, 1, 2
    MISSES mov rcx, [W]
    MISSES cmp byte [W + 7], 1
    WRITES mov [W], ecx
    TRAP_DR6 0, 0xFFFF0FF4
    WRITES mov byte [W + 7], 1
    WRITES mov qword [W - 7], 1
    MISSES mov qword [W - 8], 1
    MISSES mov byte [W + 8], 1
    MISSES lea rcx, [W]
    MISSES prefetchw [W]
    MISSES nop dword [W]
    CHECKPOINT 2                    ; read-modify-write, locked and not, compares that fail
    WRITES inc dword [W]
    WRITES xadd [W], ecx
    WRITES xchg [W], cl
    WRITES lock add qword [W], 1
    mov eax, 12345
    mov [W], eax
    HITS cmpxchg [W + 1], ecx
    mov eax, 1
    HITS lock cmpxchg [W + 4], ecx
    HITS lock cmpxchg8b [W]
    HITS lock cmpxchg16b [W]
    WRITES bts qword [W], 3
    mov esi, 70
    HITS bts [W - 8], rsi
    WRITES shld [W], rcx, 3
    WRITES not word [W + 2]
    WRITES setz [W]
    CHECKPOINT 3                    ; stack
%macro AT_STACK 1+
    mov rsp, W + 8
    HITS %1
    mov rsp, r12
%endmacro
    AT_STACK push rax
    AT_STACK pushfq
    AT_STACK push qword [r12]
    AT_STACK enter 0, 0
    mov rsp, W + 8
    NO_TRAPS
    call .called
.called:
    mov rsp, r12
    TRAPS 1
    TRAP 0, .called
    push 5
    HITS pop qword [W]
    CHECKPOINT 4                    ; string
    mov edi, W
    HITS stosb
    mov esi, W + 0x100
    HITS movsw
    mov edi, W - 2
    mov ecx, 12
    NO_TRAPS
.repeat:
    rep stosb
.repeat_end:
    TRAPS 8                         ; an iteration each
    TRAP 0, .repeat
    TRAP 7, .repeat
    test dword [LOG_FLAGS], 0x10000
    CHECK nz
    std
    mov edi, W + 8
    mov esi, W + 0x108
    mov ecx, 2
    NO_TRAPS
    rep movsq
.down:
    cld
    TRAPS 1
    TRAP 0, .down
    mov edi, W
    mov edx, 0xF8
    mov ecx, 2
    NO_TRAPS
    rep insd
    TRAPS 2
    CHECKPOINT 5                    ; x87, SSE, state images, tables
    WRITES fnstcw [W]
    HITS fnstsw [W + 4]
    HITS fnstenv [W - 20]
    fninit
    HITS fnsave [W - 100]
    fld1
    HITS fstp tword [W - 4]
    fld1
    HITS fisttp word [W + 6]
    HITS fxsave [W - 0x80]
    mov eax, 3
    xor edx, edx
    HITS xsave [W - 0x80]
    WRITES movaps [W], xmm1
    WRITES movups [W - 15], xmm1
    WRITES movq [W], xmm1
    WRITES movhps [W], xmm1
    WRITES movnti [W], ecx
    WRITES movntdq [W], xmm1
    HITS pextrb [W + 3], xmm1, 2
    WRITES stmxcsr [W]
    mov edi, W - 8
    pcmpeqd xmm2, xmm2
    HITS maskmovdqu xmm1, xmm2
    pslldq xmm2, 8
    HITS maskmovdqu xmm1, xmm2
    psrldq xmm2, 8
    MISSES maskmovdqu xmm1, xmm2
    WRITES sgdt [W]
    HITS sidt [W - 9]
    WRITES smsw [W]
    WRITES sldt [W]
    WRITES str [W]
    WRITES mov [W], ds
    CHECKPOINT 6                    ; an access over a page's end meets a watch on either page
    ARM 1, NEXT, 1, 0
    HITS mov qword [NEXT - 4], rcx
    HITS movups [NEXT - 8], xmm1
    MISSES mov dword [NEXT - 4], ecx
    HITS lock inc dword [NEXT - 3]
    ARM 1, NEXT - 1, 1, 0
    HITS mov qword [NEXT - 4], rcx
    MISSES mov [NEXT], ecx
    CHECKPOINT 7                    ; reads
    mov rax, 0x0000001000000010
    mov [W], rax
    ARM 0, W, 3, 2
    HITS mov ecx, [W]
    HITS mov ecx, [W + 4]
    HITS add ecx, [W]
    HITS test [W + 3], cl
    HITS cmp [W], ecx
    HITS inc dword [W]
    HITS movzx ecx, byte [W + 7]
    HITS cmovc ecx, [W]
    HITS bt qword [W], 5
    HITS imul ecx, [W], 3
    HITS push qword [W]
    mov esi, W
    HITS lodsb
    mov edi, W
    HITS scasd
    mov esi, W - 4
    mov edi, W + 4
    HITS cmpsd
    mov esi, W
    mov edi, W + 0x100
    HITS movsq
    mov esi, W
    mov ecx, 4
    mov edx, 0xF8
    NO_TRAPS
    rep outsb
    TRAPS 4
    xor eax, eax
    mov ebx, W
    HITS xlatb
    HITS fild dword [W]
    HITS fldcw [W]
    fninit
    HITS movaps xmm3, [W]
    HITS paddd xmm3, [W]
    HITS movss xmm3, [W + 4]
    HITS pcmpistri xmm3, [W], 0
    HITS cvtsi2sd xmm3, dword [W]
    HITS pinsrb xmm3, [W], 1
    mov rsp, W
    HITS pop rcx
    mov rsp, r12
    mov ebp, W
    HITS leave
    mov rsp, r12
    mov qword [W], .jumped
    NO_TRAPS
    jmp [W]
.jumped:
    TRAPS 1
    TRAP 0, .jumped
    mov qword [W], .returned
    mov rsp, W
    NO_TRAPS
    ret
.returned:
    mov rsp, r12
    TRAPS 1
    TRAP 0, .returned
    CHECKPOINT 8                    ; the processor's own: descriptors, IDT, stack of an event, TSS
    mov rax, [gdt + DATA0]          ; not the handler's own: its IRETQ reads that
    mov [gdt_more], rax
    ARM 3, gdt_more, 3, 2
    mov ecx, gdt_more - gdt
    HITS mov es, ecx
    HITS lar edx, ecx
    ARM 3, IDT + 0x30 * 16, 3, 2
    NO_TRAPS
    int 0x30
    TRAPS 1
    TRAP 0, soft
    ARM 3, W, 1, 2
    mov rsp, W + 16
    NO_TRAPS
    int 0x30
    mov rsp, r12
    TRAPS 1
    TRAP 0, soft
    ARM 3, W, 1, 2
    mov rsp, W + 16                 ; a fault's frame
    NO_TRAPS
    FAULTS 6, 0, ud2
    mov rsp, r12
    TRAPS 1
    TRAP 0, stubs + 6 * STUB_SIZE
    CHECKPOINT 9                    ; several at once, each with its bit; and stale bits go with the next exception
    ARM 0, W, 3, 2
    mov eax, W + 4
    mov dr3, rax
    mov eax, 0xD0090482             ; 0: 8 bytes, write; 3: 4 bytes, write; both enabled globally
    mov dr7, rax
    HITS mov qword [W], 1
    TRAP_DR6 0, 0xFFFF0FF9
    HITS mov dword [W], 1
    TRAP_DR6 0, 0xFFFF0FF1
    CHECKPOINT 10                   ; disarmed: nothing, in hot code too
    DISARM
    NO_TRAPS
    mov ecx, 1000
.quiet:
    mov [W], ecx
    mov eax, [W]
    dec ecx
    jnz .quiet
    TRAPS 0
    CHECKPOINT 11                   ; armed in the middle of hot code that was translated: at the first store
    mov r8d, 0
.again:
    mov ecx, 100
.hot:
    mov eax, [W]
    inc eax
    mov [W], eax
.hot_end:
    dec ecx
    jnz .hot
    inc r8d
    cmp r8d, 2
    je .armed
    ARM 0, W, 1, 3
    NO_TRAPS
    jmp .again
.armed:
    TRAPS 100
    TRAP 0, .hot_end
    DISARM
    PASS
