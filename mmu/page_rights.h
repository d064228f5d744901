// SPDX-License-Identifier: MIT
// The judgement of one access by the rights of a finished walk (SDM 3A 4.6, 4.7), inline because the TLB-miss
// path asks it three times per fill. Internal to mmu/; others call check_rights().
#pragma once

#include "mmu/page_walk.h"

namespace shadowbox {

namespace cr {
constexpr u64 kPg = u64{1} << 31, kWp = u64{1} << 16;                              // CR0
constexpr u64 kPse = 1 << 4, kPae = 1 << 5, kPge = 1 << 7, kLa57 = 1 << 12;        // CR4
constexpr u64 kPcide = 1 << 17, kSmep = 1 << 20, kSmap = 1 << 21, kPke = 1 << 22;  // CR4
constexpr u64 kLma = 1 << 10, kNxe = 1 << 11;                                      // EFER
}  // namespace cr

/// The error-code bits that describe the access itself.
inline u32 access_error_bits(const PagingControl& control, WalkAccess access) {
    u32 code = (access.write ? u32{kPfWrite} : 0) | (access.user ? u32{kPfUser} : 0);
    bool fetch_bit = (control.cr4 & cr::kSmep) || ((control.cr4 & cr::kPae) && (control.efer & cr::kNxe));
    if (access.execute && fetch_bit) code |= kPfFetch;
    return code;
}

/// Whether PKRU forbids it. Only data accesses to user-mode pages, by either privilege.
inline bool key_forbids(const PagingControl& control, const Translation& t, WalkAccess access) {
    if (!(control.cr4 & cr::kPke) || !(control.efer & cr::kLma) || !t.user || access.execute) return false;
    u32 key_rights = control.pkru >> (2 * t.protection_key) & 3;
    if (key_rights & 1) return true;
    return (key_rights & 2) && access.write && (access.user || (control.cr0 & cr::kWp));
}

inline bool access_allowed(const PagingControl& control, const Translation& t, WalkAccess access) {
    if (!(control.cr0 & cr::kPg)) return true;
    if (access.user) {
        if (!t.user || (access.write && !t.writable) || (access.execute && !t.executable)) return false;
    } else {
        if (access.write && !t.writable && (control.cr0 & cr::kWp)) return false;
        if (access.execute && (!t.executable || (t.user && (control.cr4 & cr::kSmep)))) return false;
        if (t.user && !access.execute && (control.cr4 & cr::kSmap) && !access.explicit_ac) return false;
    }
    return !key_forbids(control, t, access);
}

}  // namespace shadowbox
