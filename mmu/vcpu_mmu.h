// SPDX-License-Identifier: MIT
// One vCPU's view of memory: the current TlbContext, the shadow tables behind it, and the slow path that
// fills them. cpu/ probes `context()` inline and calls resolve() on a miss. Owner: the vCPU thread; other
// threads only post drop requests through the SafepointDomain.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/inspect.h"
#include "mmu/guest_memory.h"
#include "mmu/page_walk.h"
#include "mmu/tlb.h"

namespace shadowbox {

class MachineBus;

enum class MemoryAccess : u8 { kRead, kWrite, kExecute };

/// What one page-local access found.
struct Resolved {
    enum class Kind : u8 {
        kHost,    ///< `host` points at the byte; valid until the next taken safepoint
        kMmio,    ///< go to the MachineBus with `gpa`
        kFault,   ///< #PF with `error_code` (CR2 = the gva asked for)
        kWait,    ///< wait_for_page(), then restart the instruction
        kRefused  ///< pool exhausted: stop the VM with a message
    };
    Kind kind = Kind::kFault;
    bool code_page =
        false;         ///< kHost and write: the page holds cached code; tell CodeWriteListener after storing
    bool rom = false;  ///< kHost and write to ROM: discard the store (host is a scratch page)
    u8* host = nullptr;
    Gpa gpa;
    u32 error_code = 0;
};

/// Counters of one vCPU's translation path; rows of `info counters`. A TLB fill with paging on was answered
/// by the shadow tables (`shadow_hits`; `large_hits` of them by an entry for a large page) or by a page walk.
struct MmuCounters {
    u64 tlb_fills = 0, shadow_hits = 0, large_hits = 0, walks = 0, faults = 0, context_switches = 0,
        full_flushes = 0, page_flushes = 0,
        pages_moved =
            0;  ///< pages that had content and changed their MPN for a write of this vCPU (copy-on-write)
};

class VcpuMmu {
 public:
    explicit VcpuMmu(GuestMemory& memory);
    ~VcpuMmu();
    VcpuMmu(const VcpuMmu&) = delete;
    VcpuMmu& operator=(const VcpuMmu&) = delete;

    /// The context of the current privilege: what inline probes use. The supervisor-without-AC context serves
    /// implicit supervisor accesses (descriptor tables, TSS) made at CPL 3.
    TlbContext* context() const { return selected_.context; }
    TlbContext* implicit_supervisor_context() const { return selected_.contexts[kSupervisor]; }
    /// Privileges, as numbers of a PCID slot's contexts.
    static constexpr u32 kUser = 0, kSupervisor = 1, kSupervisorWithAc = 2;
    /// What set_privilege() chose, and what there is to choose from. Emitted code (cpu/jit) chooses as
    /// set_privilege() does.
    struct Selected {
        TlbContext* context = nullptr;
        TlbContext* contexts[3] =
            {};  ///< of the current PCID slot, by privilege; the last one with CR4.SMAP only
        u32 privilege = kSupervisor;
        bool ac = false;  ///< EFLAGS.AC as last told
    };
    const Selected& selected() const { return selected_; }

    /// What of the TLB's entry a resolve() makes beside the side that was asked for: the other one if it
    /// drives no page out, or always. By writes only if the page may be written to just so.
    enum class FillSides : bool { kAsked, kBoth };
    /// Slow path of a miss. `size` bytes must not cross a page. `implicit_supervisor`: see above.
    /// Under CR0.PG=0 or a hit in the shadow table no walk happens.
    /// A result for writing may have changed the page's MPN only if no vCPU held a pointer to the old one; a
    /// page that needs more than that answers kWait.
    Resolved resolve(Gva gva, unsigned size, MemoryAccess access, bool implicit_supervisor = false,
                     FillSides sides = FillSides::kAsked);
    /// After kWait, holding no host pointer: leaves guest code, blocks until the page may be ready, enters
    /// again. Then restart the instruction. false: the VM ends.
    bool wait_for_page();
    /// Where page tables are reached that do not lie in RAM.
    void set_bus(MachineBus& bus);
    /// What wait_for_page() is to wait for is such an access: it takes no time.
    bool wants_device() const;
    /// What was read of them counts no more: a fault that came of it was delivered.
    void forget_device_tables();

    /// Control registers. Each does the invalidation that the manual requires (SDM 3A 4.10.4.1).
    void set_control(u64 cr0, u64 cr4, u64 efer);  ///< after MOV CR0/CR4, WRMSR EFER
    /// MOV CR3; `keep` is bit 63 with CR4.PCIDE. With PAE paging its PDPTEs are read first.
    void set_cr3(u64 cr3, bool keep);
    void set_pkru(u32 pkru);
    enum class PdpteRead : u8 {
        kRead,
        kReserved,  ///< reserved bits in a present entry: #GP(0) for MOV to a control register
        kWait,      ///< as a Resolved's, for wanted_page()
        kRefused
    };
    /// What an instruction that starts PAE paging, or changes its CR3, reads before it changes anything.
    PdpteRead read_pdptes(u64 cr3, Pdptes& read);
    void set_pdptes(const Pdptes& pdptes) { control_.pdpte = pdptes; }
    /// A device's page is what wait_for_page() is to wait for.
    void want(const MemoryAnswer& answer);
    /// Of the last kWait or kRefused.
    Ppn wanted_page() const { return wait_ppn_; }
    /// CPL 3 or not, and EFLAGS.AC (matters with SMAP). Cheap: swaps pointers.
    void set_privilege(bool user, bool ac);
    const PagingControl& control() const { return control_; }

    void invlpg(Gva gva);
    /// INVPCID types 0 to 3 (SDM 2A INVPCID).
    void invpcid(unsigned type, u16 pcid, Gva gva);
    /// Everything, global entries too.
    void flush_all();
    /// The same, and the memory of the tables goes back to the host until they are used again.
    void release();
    /// Memory that the tables take.
    u64 table_bytes() const;
    /// Emitted code goes away, or will run in another mode: no call site is returned to.
    void forget_returns();
    /// Drops every cached translation of one PPN, by reverse search of the contexts in use.
    void drop_ppn(Ppn ppn);
    /// Like drop_ppn, but only the right to write (the page became protected).
    void drop_write(Ppn ppn);
    /// From now on every data access to these pages, by any privilege, comes to resolve(): the TLB gets no
    /// entry for them. At most kWatchedPages; those named before and not now are ordinary again.
    static constexpr unsigned kWatchedPages = 4;
    void watch_pages(std::span<const Vpn> pages);
    bool watches() const { return watched_count_ != 0; }
    bool watches(Gva gva) const;
    /// What SafepointDomain calls: serves one request in one search. True if a right to write was dropped, or
    /// may have been in use without its entry still being there.
    bool apply(const DropRequest& request);

    /// Visits what the front TLB holds in the current PCID, for `info tlb`: vpn, ppn and rights as "urwxg-"
    /// letters. On the vCPU thread or while the VM is stopped.
    void for_each_entry(const std::function<void(Vpn, Ppn, const char*)>& visit) const;
    void inspect(Inspector& inspector) const;
    SafepointParticipant* participant() const { return participant_; }

    GuestMemory& memory() { return memory_; }
    const MmuCounters& counters() const { return counters_; }
    /// Entries for large pages in all shadow tables, now.
    unsigned large_entries() const;

 private:
    GuestMemory& memory_;
    PagingControl control_;
    Selected selected_;
    MmuCounters counters_;
    struct Tables;  // PCID slots: shadow table and three contexts each (tlb_tables.h)
    std::unique_ptr<Tables> tables_;
    SafepointParticipant* participant_ = nullptr;
    Ppn wait_ppn_;
    unsigned slot_ = 0;  // current PCID slot
    PageAccess wait_access_ = PageAccess::kRead;
    u8 watched_count_ = 0;           // of Tables::watched
    std::unique_ptr<u8[]> scratch_;  // where stores to ROM go

    friend class SafepointDomain;
    void select_context();
    void switch_slot(u16 pcid);
    bool find_cached(Gva gva, WalkAccess access, Translation& found);
    tl::expected<Translation, Resolved> walk(Gva gva, WalkAccess access);
    void remember(Vpn vpn, const Translation& walked);
    Resolved attach(Gva gva, const Translation& translation, MemoryAccess access, unsigned privilege,
                    FillSides sides);
    void fill(Gva gva, const Translation& translation, u8* page, MemoryAccess access, unsigned privilege,
              FillSides sides, bool may_write);
    WalkAccess walk_access(MemoryAccess access, unsigned privilege) const;
    Resolved refuse(PageOutcome outcome, Ppn ppn, PageAccess access);
};

}  // namespace shadowbox
