; Watchpoints of VEX instructions: whole registers, masked lanes, gathers.  cpu: v3  host clock: too
; SPDX-License-Identifier: MIT
%include "long64.inc"
%include "step_log.inc"
%define W 0x300120                  ; 8 bytes watched
%macro HITS 1+
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
    STEP_LOG
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
    mov qword [W], 0
    vxorps ymm0, ymm0, ymm0
    vpcmpeqd ymm1, ymm1, ymm1
    CHECKPOINT 1
    ARM 0, W, 1, 2
    mov rax, [W]
    HITS vmovaps [W], ymm0
    mov rax, [W]
    HITS vmovups [W - 24], ymm0
    MISSES vmovups [W - 32], ymm0
    HITS vmovntps [W], ymm0
    HITS vextracti128 [W - 8], ymm0, 1
    HITS vmovlps [W], xmm0
    HITS vcvtps2ph [W - 8], ymm0, 0
    MISSES vmovaps ymm2, [W]
    CHECKPOINT 2                    ; masked stores: the lanes that are on
    HITS vmaskmovps [W - 16], ymm1, ymm0
    HITS vpmaskmovq [W - 8], ymm1, ymm0
    mov qword [0x310000], 0
    mov qword [0x310008], 0
    mov qword [0x310010], -1
    mov qword [0x310018], -1
    vmovdqu ymm3, [0x310000]        ; the upper half
    HITS vpmaskmovd [W - 16], ymm3, ymm0
    MISSES vpmaskmovd [W], ymm3, ymm0
    MISSES vmaskmovpd [W - 32], ymm3, ymm0
    CHECKPOINT 3                    ; reads
    ARM 0, W, 3, 2
    HITS vmovups ymm2, [W - 31]
    HITS vpaddd ymm2, ymm2, [W]
    HITS vbroadcastss ymm2, [W + 4]
    HITS vinserti128 ymm2, ymm2, [W], 0
    HITS vmaskmovps ymm2, ymm1, [W - 16]
    HITS vpmaskmovd ymm2, ymm3, [W - 16]
    MISSES vpmaskmovd ymm2, ymm3, [W]
    HITS vfmadd213ss xmm2, xmm2, [W]
    HITS mulx rax, rcx, [W]
    HITS andn ecx, eax, [W]
    CHECKPOINT 4                    ; gathers
    mov ebx, W
    vpxor ymm4, ymm4, ymm4
    vpcmpeqd ymm1, ymm1, ymm1
    HITS vpgatherdd ymm2, [rbx + ymm4 * 4], ymm1
    vpcmpeqd ymm1, ymm1, ymm1
    HITS vpgatherdq ymm2, [rbx + xmm4 * 8 - 7], ymm1
    vpcmpeqd ymm1, ymm1, ymm1
    MISSES vpgatherqd xmm2, [rbx + ymm4 - 4], xmm1
    vpxor xmm1, xmm1, xmm1
    MISSES vgatherqpd ymm2, [rbx + ymm4], ymm1
    PASS
