// SPDX-License-Identifier: MIT
// One virtual CPU: its architectural state, its MMU view, its local APIC and the loop that runs it. Owner of
// everything here is the vCPU thread while it runs; other threads touch only `safepoint.attention` and what
// is declared atomic. Does not know devices: ports, MMIO and interrupts go through MachineBus.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/archive.h"
#include "core/host/thread.h"
#include "core/inspect.h"
#include "core/seeded_random.h"
#include "cpu/decode/insn.h"
#include "cpu/state/device_accesses.h"
#include "cpu/state/fault.h"
#include "cpu/state/flags.h"
#include "cpu/state/registers.h"
#include "mmu/machine_bus.h"
#include "mmu/safepoint.h"
#include "mmu/vcpu_mmu.h"

namespace shadowbox {

struct Block;
class BlockCache;
class LocalApic;
namespace jit {
class Jit;
}
struct CpuModel;
struct Event;

/// Why run() came back to its caller, or why the fast path came back to run().
enum class ExitReason : u8 {
    kNone,        ///< look at attention and go on
    kBudget,      ///< the instruction budget is used up
    kFault,       ///< `fault` is to be delivered; RIP is the instruction (or the next one, for traps)
    kHalt,        ///< HLT or MWAIT: wait for an interrupt
    kWaitPage,    ///< the pager must wait for `wait_ppn`; then the instruction restarts
    kRefused,     ///< the pool is exhausted: the VM must be stopped
    kShutdown,    ///< triple fault
    kStop,        ///< attention said stop
    kExclusive,   ///< stop the VM's other vCPUs, then step_exclusive()
    kSingleInsn,  ///< internal: the next instruction must run alone (exact time for MMIO)
};

/// Execution mode bits that decoded blocks depend on (Block::mode). Outside 64-bit mode the upper half is
/// CS.base, and bits 16 to 31 stand for CS.limit (Vcpu::code_limit_bits()), so that what is decoded never
/// reaches beyond it. kFlat: 32-bit code and stack, DS, ES and SS writable with base 0 and limit 4 GiB.
namespace mode_bits {
constexpr u64 kLong64 = 1, kCode32 = 2, kStack32 = 4, kProtected = 8, kVm86 = 16, kFlat = 32,
              kSingleStep = 64, kFpuNm = 128, kFpuEm = 256, kSseUd = 512, kSseUnmasked = 1024,
              kLongMode = 2048, kAvxOff = 4096;
constexpr unsigned kCodeLimitShift = 16;
}  // namespace mode_bits

struct VcpuCounters {
    u64 interrupts = 0, faults = 0, halts = 0, blocks_decoded = 0, block_lookups = 0, code_invalidations = 0,
        mmio = 0, port_io = 0, absent_instructions = 0;
};

class Vcpu {
 public:
    Vcpu(unsigned index, GuestMemory& memory, MachineBus& bus, ApicMessageSink& apic_sink, EoiListener& eoi,
         const CpuModel& model);
    ~Vcpu();
    Vcpu(const Vcpu&) = delete;
    Vcpu& operator=(const Vcpu&) = delete;

    /// -accel jit: from now on hot blocks are translated. Before the first run(), after exact_time is set.
    /// `hot_entries`: executions of a block before it is translated; `code_bytes`: host code kept. 0: the
    /// translator's own choice.
    Expected<void> enable_jit(u32 hot_entries = 0, u64 code_bytes = 0);

    // --- caches: decoded blocks, host code, TLB tables; on the vCPU's thread, inside the safepoint ---
    u64 cache_bytes() const;
    /// All of them go, and their memory goes back to the host; the guest does not notice.
    void release_caches();

    // --- run.cpp: driven by vmm/ ---
    /// Power-on or INIT state (SDM 3A 9.1.1). INIT keeps FPU, vector and some MSR state.
    void reset(bool init = false);
    /// Runs up to `budget` instructions; returns at an exit that the caller must act on (never kNone or
    /// kFault). Call inside safepoint.enter()/leave(). `retired` grows by exactly the instructions (and REP
    /// iterations) done.
    ExitReason run(i64 budget);
    /// Runs one instruction while the caller keeps every other vCPU of the VM outside guest code.
    ExitReason step_exclusive();
    /// Whether an interrupt, NMI, INIT or SIPI would wake this vCPU from HLT now.
    bool wakeup_pending() const;
    /// Waiting for SIPI: application processors after reset.
    bool waiting_for_sipi() const { return wait_for_sipi_; }

    // --- lines from the outside; thread safe ---
    void set_pic_line(bool level);  ///< the 8259's INTR, wired to LINT0
    void post_nmi();
    void set_ignne(bool level);  ///< the IGNNE# pin: x87 errors that FERR# reports are passed over
    bool ignne() const { return ignne_.load(std::memory_order_acquire); }
    void post_attention(u32 bits) {
        safepoint.attention.fetch_or(bits, std::memory_order_seq_cst);
        if (sleeping.load(std::memory_order_seq_cst)) wake.signal();
    }
    /// The vCPU's thread is (about to be) asleep in HLT or paused: post_attention() signals `wake`.
    std::atomic<bool> sleeping{false};
    WakeEvent wake;
    /// On the vCPU thread inside run(): use up no more than `left` further instructions (an event moved
    /// nearer).
    void shrink_budget(i64 left) {
        if (left >= budget) return;
        run_start_budget_ -= budget - left;
        budget = left;
    }

    // --- state seen by handlers; the hot part first ---
    u64 gpr[17] = {};  ///< [kNoRegister] is always 0
    LazyFlags flags;
    u64 rip = 0;  ///< exact between blocks; inside one, rip_of(insn)
    const Block* block = nullptr;
    i64 budget = 0;
    VcpuMmu mmu;
    SafepointParticipant safepoint;
    u64 mode = 0;  ///< mode_bits
    SegmentRegister seg[6];
    u64 other_flags = rflags::kFixed;  ///< RFLAGS without the six arithmetic flags
    u8 cpl = 0;
    ExitReason exit = ExitReason::kNone;
    bool interrupt_shadow = false;  ///< after STI, MOV SS, POP SS: one instruction without interrupts
    bool nmi_blocked = false;
    bool alone = true;        ///< the VM has one vCPU, or exclusive work runs: locked accesses may be split
    bool exact_time = false;  ///< icount: guest time is read only at exact instruction counts
    bool halted = false;      ///< in HLT until wakeup_pending(); kept by whoever calls run()
    bool alignment_checked = false;  ///< CPL 3, CR0.AM and EFLAGS.AC: data pages stay out of the TLB, so that
                                     ///< each access is checked
    bool interrupt_latched = true;   ///< interrupt_waiting() may hold although attention does not ask: STI is
                                     ///< not emitted code's then
    bool in_cell = false;  ///< emitted code had C++ run one instruction: no next block is entered behind it
    bool single = false;   ///< run() executes one instruction at a time just now
    /// The instruction that runs alone just now is to be trapped for TF, as it was at its start. Whatever
    /// clears TF itself (delivery of an event, SYSCALL, a task switch) says no.
    bool step_trap = false;
    bool traps_held = false;  ///< after MOV SS, POP SS while traps are possible: one instruction without them

    VectorRegister vec[16] = {};
    u32 mxcsr = 0x1F80;  ///< exact only after sync_mxcsr(); control bits always
    X87State x87;

    u64 cr0 = 0x60000010, cr2 = 0, cr3 = 0, cr4 = 0, efer = 0, xcr0 = 1;
    u64 dr[8] = {};  ///< dr[4], dr[5] unused
    SegmentRegister ldtr, tr;
    TableRegister gdtr, idtr;

    struct Msrs {
        u64 star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0, sysenter_cs = 0, sysenter_esp = 0,
            sysenter_eip = 0, pat = 0x0007040600070406, tsc_aux = 0, tsc_adjust = 0, mtrr_def_type = 0,
            misc_enable = 1, spec_ctrl = 0, debugctl = 0, mtrr_fixed[11] = {}, mtrr_base[8] = {},
            mtrr_mask[8] = {}, xss = 0, feature_control = 1, mcg_status = 0, microcode = 0;
    } msr;
    u32 pkru = 0;
    i64 tsc_offset = 0;
    u64 retired = 0;  ///< guest instructions completed, REP iterations counted one each

    u32 pauses = 0;  ///< executed while other vCPUs ran beside this one

    Fault fault;
    std::vector<u8> shutdown_chain;  ///< vectors of the delivery under way, or of the last triple fault
    /// An event whose delivery must wait for a page: delivered first thing in the next run().
    void hold_event(const Event& event);
    bool event_held() const { return held_event_ != nullptr; }
    /// Debug traps that come behind the current instruction, or before the next if none runs: DR6 bits of
    /// breakpoints hit, and BS where an instruction loads TF and is its own judge (SYSRET).
    u64 pending_dr6 = 0;
    Ppn wait_ppn;
    VcpuCounters counters;
    SeededRandom random{0};  ///< RDRAND, RDSEED: seeded by --seed under icount, from the host otherwise
    std::unique_ptr<LocalApic> apic;
    std::unique_ptr<BlockCache> blocks;
    std::unique_ptr<jit::Jit> jit;  ///< null: interpreter only
    MachineBus& bus;
    const CpuModel& model;
    const unsigned index;
    unsigned vcpu_count = 1;  ///< of the VM: CPUID topology, broadcast IPIs
    /// Topology that CPUID tells; powers of two, since APIC ids follow each other. 0: all cores in one
    /// package.
    unsigned threads_per_core = 1, cores_per_socket = 0;
    unsigned package_size() const {
        return cores_per_socket ? threads_per_core * cores_per_socket : vcpu_count;
    }
    /// The local APIC's deadline moved; the run loop's owner recomputes its budget (set by vmm/).
    std::function<void()> on_timer_changed;
    void timer_changed() {
        if (on_timer_changed) on_timer_changed();
    }

    // --- registers by size ---
    template <class T>
    T reg(unsigned number) const {
        return static_cast<T>(gpr[number]);
    }
    u8 reg8(unsigned byte_offset) const { return reinterpret_cast<const u8*>(gpr)[byte_offset]; }
    void set_reg8(unsigned byte_offset, u8 value) { reinterpret_cast<u8*>(gpr)[byte_offset] = value; }
    /// 16-bit writes keep the upper bits, 32-bit writes clear them (SDM 1 3.4.1.1).
    template <class T>
    void set_reg(unsigned number, T value) {
        if constexpr (sizeof(T) == 2)
            gpr[number] = (gpr[number] & ~u64{0xFFFF}) | value;
        else if constexpr (sizeof(T) == 1)
            gpr[number] = (gpr[number] & ~u64{0xFF}) | value;
        else
            gpr[number] = value;
    }

    /// MOV SS and POP SS hold back interrupts, traps and instruction breakpoints for an instruction (SDM 3A
    /// 6.8.3). What step_one() does not run sees no traps.
    void cast_stack_shadow() {
        interrupt_shadow = true;
        traps_held = mode & mode_bits::kSingleStep;
    }

    u64 rflags() const { return other_flags | flags.value(); }
    /// Sets all of RFLAGS as given (reserved bits fixed up); the caller applied privilege rules.
    void set_rflags(u64 value);
    bool real_mode() const { return !(cr0 & cr0::kPE); }
    bool vm86() const { return other_flags & rflags::kVM; }
    bool long_mode() const { return efer & efer::kLMA; }
    bool long64() const { return mode & mode_bits::kLong64; }
    unsigned iopl() const { return other_flags >> 12 & 3; }

    // --- faults; each returns false so that ops can `return cpu.raise...` ---
    bool raise(Vector vector) { return raise(Fault{vector, false, 0, 0, 0}); }
    bool raise(Vector vector, u32 error_code) { return raise(Fault{vector, true, error_code, 0, 0}); }
    bool raise(const Fault& what) {
        fault = what;
        exit = ExitReason::kFault;
        return false;
    }
    bool raise_gp0() { return raise(Vector::kGP, 0); }
    /// The instruction starts again when `ppn` is there (`why` kWaitPage) or there is room for it (kRefused).
    bool want_page(ExitReason why, Ppn ppn) {
        wait_ppn = ppn;
        exit = why;
        return false;
    }

    // --- mode.cpp ---
    /// Recomputes `mode` and the MMU's privilege after CS, SS, CPL, CR0, CR4, XCR0, EFER, RFLAGS.VM/TF/AC,
    /// MXCSR masks or a data segment changed.
    void update_mode();
    void sync_mxcsr();  ///< collects the host's sticky flags into mxcsr
    void load_mxcsr(u32 value);

    /// IF, TPR or a controller changed: look for deliverable interrupts before the next block.
    void recheck_interrupts() {
        interrupt_latched = interrupt_waiting();
        if (!interrupt_latched) return;
        check_interrupts_ = true;
        post_attention(SafepointParticipant::kAttentionInterrupt);
    }
    /// Something may be deliverable now or once IF, TPR or a shadow allows. Who posts anything later asks for
    /// attention himself.
    bool interrupt_waiting() const;
    /// Instructions retired up to now, exact at instructions that end a block and in single steps.
    u64 retired_now() const { return retired + static_cast<u64>(run_start_budget_ - budget); }

    // --- clock ---
    u64 read_tsc() const;  ///< with TSC_ADJUST and offset
    GuestNs now() const { return bus.clock().now(); }

    // --- views and save states ---
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;
    std::string dump() const;  ///< registers as a person reads them

 private:
    friend class BlockCache;
    friend class LocalApic;
    std::atomic<bool> pic_line_{false}, nmi_pending_{false};
    bool wait_for_sipi_ = false;
    bool check_interrupts_ = false;
    std::unique_ptr<Event> held_event_;
    void serialize_held_event(Archive& archive);
    bool serve_attention();  ///< interrupts and requests between blocks; false: leave run()
    bool deliver_pending_interrupt();
    void step_one();  ///< one instruction through a one-instruction block
    bool need_single_ = false;
    i64 run_start_budget_ = 0;
    u64 code_limit_bits();                      ///< mode.cpp
    std::unordered_map<u32, u32> code_limits_;  ///< numbers of CS limits other than 4 GiB and 64 KiB

 public:
    DeviceAccesses device_accesses;  ///< of the instruction that runs alone
    /// An event is being delivered between instructions. Devices are reached at an exact count then, as by an
    /// instruction that runs alone; what was read from them is kept here if the delivery must start again.
    bool delivering = false;
    DeviceAccesses event_accesses;
    bool ferr = false;        ///< the FERR# pin; while it is asserted instructions run one by one, so that
                              ///< whichever clears the error is seen to (step_one())
    bool x87_frozen = false;  ///< halted before a waiting x87 instruction (events/x87_error.h), not by HLT
    void set_ferr(bool level) {
        ferr = level;
        bus.x87_error(index, level);
    }
    /// Translated code debits the budget: under exact time, or asked for (-accel jit,count=on). Before
    /// enable_jit().
    bool translated_counts = false;
    /// `retired` as a person reads it: "uncounted" where translated code does not count.
    std::string retired_text() const;

 private:
    std::atomic<bool> ignne_{false};
};

}  // namespace shadowbox
