; ends: shutdown   A #GP whose handler's gate is bad, then a #DF whose gate is bad.
; SPDX-License-Identifier: MIT
%include "protected32.inc"
    mov dword [IDT + 13 * 8 + 4], 0             ; #GP: no gate
    mov dword [IDT + 8 * 8 + 4], 0              ; #DF: no gate
    mov eax, 0x7F8
    mov es, eax
    mov al, 1
    out 0xF4, al
    cli
    hlt
