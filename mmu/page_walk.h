// SPDX-License-Identifier: MIT
// The guest's own page walk, GVA -> PPN, as a function of control registers and guest memory (SDM 3A
// chapter 4). Knows no vCPU: testable with bytes alone. Covers no paging, 32-bit with PSE, PAE, 4-level and
// 5-level paging, NX, WP, SMEP, SMAP with AC, protection keys; sets A and D bits atomically; never caches
// anything.
#pragma once

#include <array>
#include <tl/expected.hpp>

#include "mmu/page_types.h"
#include "mmu/pager.h"

namespace shadowbox {

class DeviceTables;
class GuestMemory;

/// The four page-directory-pointer-table entries of PAE paging.
using Pdptes = std::array<u64, 4>;

/// What of the vCPU's registers decides translation. Copied into the VcpuMmu whenever it changes.
struct PagingControl {
    u64 cr0 = 0x60000010;
    u64 cr3 = 0;
    u64 cr4 = 0;
    u64 efer = 0;
    u32 pkru = 0;
    Pdptes pdpte{};  ///< PAE: loaded with CR3, used by every walk (SDM 3A 4.4.1)
};

/// One access as the walk judges it.
struct WalkAccess {
    bool write = false;
    bool execute = false;
    bool user = false;         ///< made at CPL 3 and not an implicit supervisor access
    bool explicit_ac = false;  ///< EFLAGS.AC set on an explicit supervisor access (SMAP off)
};

/// Rights are of the whole walk, before the current access's kind is applied.
struct Translation {
    Ppn ppn;                  ///< 4 KiB page of the accessed address, also inside large pages
    u8 page_shift = 12;       ///< 12, 21, 22 or 30: size of the guest's mapping
    bool writable = false;    ///< R/W set on every level
    bool user = false;        ///< U/S set on every level
    bool executable = false;  ///< no XD on any level (or EFER.NXE clear)
    bool global = false;      ///< G in the leaf and CR4.PGE
    bool dirty = false;       ///< D in the leaf after this access
    u8 protection_key = 0;
};

/// #PF error code bits, SDM 3A 4.7.
enum PageFaultBits : u32 {
    kPfPresent = 1,
    kPfWrite = 2,
    kPfUser = 4,
    kPfReserved = 8,
    kPfFetch = 16,
    kPfKey = 32
};

/// Why a walk gave no translation: a #PF with its error code, or a page table that is not resident and must
/// be waited for (restart the instruction).
struct WalkFailure {
    bool wait = false;
    u32 error_code = 0;
    bool refused = false;  ///< with wait: the pool is exhausted, waiting does not help
    Ppn wait_ppn;          ///< with wait: the page-table page
    PageAccess wait_access = PageAccess::kRead;
};

using WalkResult = tl::expected<Translation, WalkFailure>;

/// Walks and sets A (and D on a write). The caller checked that `gva` is canonical. `devices`: how tables are
/// reached that do not lie in RAM.
WalkResult walk_page_tables(const PagingControl& control, GuestMemory& memory, Gva gva, WalkAccess access,
                            DeviceTables* devices = nullptr);

/// The same walk for viewers: changes no A/D bit, checks no right; nullopt-like failure when not mapped.
WalkResult peek_translation(const PagingControl& control, GuestMemory& memory, Gva gva);

/// Whether `access` is allowed by the rights in `t` under `control`; the error code if not (P=1).
tl::expected<void, u32> check_rights(const PagingControl& control, const Translation& t, WalkAccess access);

/// Linear address width rule: 48 bits, or 57 with CR4.LA57 (SDM 1 3.3.7.1).
inline bool is_canonical(u64 gva, u64 cr4) {
    unsigned shift = 64 - ((cr4 >> 12 & 1) ? 57 : 48);
    return static_cast<u64>(static_cast<i64>(gva << shift) >> shift) == gva;
}

}  // namespace shadowbox
