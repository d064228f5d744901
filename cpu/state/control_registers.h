// SPDX-License-Identifier: MIT
// Writes to CR0, CR3, CR4 and EFER with the checks and side effects of SDM 3A 2.5 and 9.8.5. False: #GP(0)
// raised, or the page with PAE's PDPTEs must be waited for (Vcpu::exit); nothing changed.
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

/// What base registers may hold (WRMSR, WRFSBASE, LGDT, LIDT; so INVPCID's address): what is canonical in
/// the widest mode that the processor has, whatever CR4.LA57 says. LLDT and LTR go by the mode.
inline bool is_possible_base(u64 gva) { return is_canonical(gva, cr4::kLA57); }

/// SDM 3A 4.4: the PDPTEs are registers then.
inline bool pae_paging(u64 cr0, u64 cr4, u64 efer) {
    return (cr0 & cr0::kPG) && (cr4 & cr4::kPAE) && !(efer & efer::kLME);
}
/// False as below.
bool read_pdptes(Vcpu& cpu, u64 cr3, Pdptes& read);

bool write_cr0(Vcpu& cpu, u64 value);
bool write_cr3(Vcpu& cpu, u64 value);
bool write_cr4(Vcpu& cpu, u64 value);
bool write_efer(Vcpu& cpu, u64 value);

}  // namespace shadowbox
