// SPDX-License-Identifier: MIT
#include "cpu/state/vcpu.h"

#include "cpu/access/effective_address.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/events/interrupts.h"
#include "cpu/jit/jit.h"
#include "cpu/state/cpu_model.h"

namespace shadowbox {

Vcpu::Vcpu(unsigned number, GuestMemory& memory, MachineBus& machine_bus, ApicMessageSink& sink,
           EoiListener& eoi, const CpuModel& cpu_model)
    : mmu(memory),
      apic(std::make_unique<LocalApic>(*this, number, sink, eoi)),
      blocks(std::make_unique<BlockCache>(*this)),
      bus(machine_bus),
      model(cpu_model),
      index(number) {
    memory.safepoints().add(safepoint, mmu);
    mmu.set_bus(bus);
    reset();
}

Expected<void> Vcpu::enable_jit(u32 hot_entries, u64 code_bytes) {
    auto made = jit::Jit::make(*this, code_bytes ? code_bytes : kDefaultCodeBytes);
    if (!made) return tl::unexpected(made.error());
    translated_counts |= exact_time;
    jit = std::move(*made);
    if (hot_entries) jit->set_hot_entries(hot_entries);
    return {};
}

std::string Vcpu::retired_text() const {
    return !jit || translated_counts ? fmt::format("{}", retired) : "uncounted";
}

u64 Vcpu::cache_bytes() const {
    return blocks->bytes_used() + (jit ? jit->bytes_held() : 0) + mmu.table_bytes();
}

void Vcpu::release_caches() {
    blocks->release();
    mmu.release();
}

Vcpu::~Vcpu() { mmu.memory().safepoints().remove(safepoint); }

void Vcpu::reset(bool init) {
    for (u64& r : gpr) r = 0;
    gpr[kRdx] = 0x000306C3;
    flags = {};
    other_flags = rflags::kFixed;
    rip = 0xFFF0;
    for (SegmentRegister& s : seg) s = {0, 0x93, 0xFFFF, 0};
    seg[kCs] = {0xF000, 0x93, 0xFFFF, 0xFFFF0000};
    ldtr = {0, 0x82, 0xFFFF, 0};
    tr = {0, 0x8B, 0xFFFF, 0};
    gdtr = idtr = {0, 0xFFFF};
    cr0 = init ? (cr0 & (cr0::kCD | cr0::kNW)) | cr0::kET : 0x60000010;
    cr2 = cr3 = cr4 = efer = 0;
    for (u64& d : dr) d = 0;
    dr[6] = 0xFFFF0FF0;
    dr[7] = 0x400;
    cpl = 0;
    interrupt_shadow = traps_held = nmi_blocked = halted = false;
    pending_dr6 = 0;
    device_accesses.clear();
    event_accesses.clear();
    x87_frozen = false;
    pkru = 0;
    held_event_.reset();
    if (!init) {
        x87 = {};
        x87.control = 0x40;
        x87.empty = 0;
        mxcsr = 0x1F80;
        for (VectorRegister& v : vec) v = {};
        xcr0 = 1;
        Msrs fresh;
        msr = fresh;
        tsc_offset = 0;
        nmi_pending_ = false;
        wait_for_sipi_ = index != 0;
        ferr = false;  // the chipset resets itself
        ignne_ = false;
    }
    apic->reset(init);
    mmu.set_control(cr0, cr4, efer);
    mmu.set_pkru(0);
    mmu.set_cr3(0, false);
    mmu.flush_all();
    blocks->flush();
    update_mode();
    check_interrupts_ = true;
}

u64 Vcpu::read_tsc() const {
    u64 ticks = model.tsc_hz == 1'000'000'000
                    ? now()
                    : static_cast<u64>(static_cast<u128>(now()) * model.tsc_hz / 1'000'000'000);
    return ticks + static_cast<u64>(tsc_offset);
}

bool compare_exchange_16(Vcpu& cpu, u64 gva, u128 expected, u128 desired, u128& seen) {
    u8* host = cpu.mmu.context()->probe_write(gva, 16);
    if (!host) {
        bool plain = false;
        host = locked_pointer(cpu, gva, 16, plain);
        if (!host) {
            if (!plain || !load_slow(cpu, gva, 16, &seen)) return false;
            u128 value = seen == expected ? desired : seen;
            return store_slow(cpu, gva, 16, &value);
        }
    }
#if defined(__x86_64__)
    u64 low = static_cast<u64>(expected), high = static_cast<u64>(expected >> 64);
    asm volatile("lock cmpxchg16b %0"
                 : "+m"(*reinterpret_cast<u128*>(host)), "+a"(low), "+d"(high)
                 : "b"(static_cast<u64>(desired)), "c"(static_cast<u64>(desired >> 64))
                 : "cc", "memory");
    seen = static_cast<u128>(high) << 64 | low;
#else
    seen = expected;
    __atomic_compare_exchange_n(reinterpret_cast<u128*>(host), &seen, desired, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
#endif
    return true;
}

void Vcpu::serialize(Archive& archive) {
    archive.section("vcpu", 5);  // outside guest code, where mxcsr is exact
    archive(gpr, flags.result, flags.aux, rip, seg, other_flags, cpl, interrupt_shadow, nmi_blocked, vec,
            mxcsr, x87, cr0, cr2, cr3, cr4, efer, xcr0, dr, ldtr, tr, gdtr, idtr, msr, pkru, tsc_offset,
            retired, wait_for_sipi_, random);
    bool nmi = nmi_pending_, pic = pic_line_;
    archive(nmi, pic, halted);
    nmi_pending_ = nmi;
    pic_line_ = pic;
    apic->serialize(archive);
    serialize_held_event(archive);
    archive(pending_dr6, traps_held, ferr, x87_frozen);  // IGNNE# is the chipset's
    Pdptes pdptes = mmu.control().pdpte;                 // registers, not what memory holds by now
    archive(pdptes);
    if (!archive.loading()) return;
    mmu.set_control(cr0, cr4, efer);
    mmu.set_pdptes(pdptes);
    mmu.set_cr3(cr3, false);
    mmu.set_pkru(pkru);
    mmu.flush_all();
    blocks->flush();
    update_mode();
    check_interrupts_ = true;
    timer_changed();
}

void Vcpu::serialize_held_event(Archive& archive) {
    bool held = held_event_ != nullptr;
    Event event = held ? *held_event_ : Event{};
    archive(held, event.vector, event.kind, event.has_error, event.error_code, event.return_rip);
    if (!archive.loading()) return;
    if (event.kind > EventKind::kIcebp) archive.fail();
    held_event_.reset();
    if (held && !archive.failed()) hold_event(event);
}

std::string Vcpu::dump() const {
    static constexpr const char* kNames[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                             "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static constexpr const char* kSegs[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    std::string text;
    auto out = std::back_inserter(text);
    for (unsigned i = 0; i < 16; ++i)
        fmt::format_to(out, "{}={:016x}{}", kNames[i], gpr[i], i % 4 == 3 ? "\n" : " ");
    u64 f = rflags();
    fmt::format_to(out, "RIP={:016x} RFL={:08x} [{}{}{}{}{}{}{}{}] CPL={} {}\n", rip, f,
                   f & rflags::kDF ? 'D' : '-', f & rflags::kOF ? 'O' : '-', f & rflags::kSF ? 'S' : '-',
                   f & rflags::kZF ? 'Z' : '-', f & rflags::kAF ? 'A' : '-', f & rflags::kPF ? 'P' : '-',
                   f & rflags::kCF ? 'C' : '-', f & rflags::kIF ? 'I' : '-', cpl,
                   long64()      ? "64-bit"
                   : long_mode() ? "compatibility"
                   : vm86()      ? "virtual-8086"
                   : real_mode() ? "real"
                                 : "protected");
    for (unsigned i = 0; i < 6; ++i)
        fmt::format_to(out, "{} ={:04x} {:016x} {:08x} {:04x}\n", kSegs[i], seg[i].selector, seg[i].base,
                       seg[i].limit, seg[i].attributes);
    fmt::format_to(out, "LDT={:04x} {:016x} {:08x} {:04x}\nTR ={:04x} {:016x} {:08x} {:04x}\n", ldtr.selector,
                   ldtr.base, ldtr.limit, ldtr.attributes, tr.selector, tr.base, tr.limit, tr.attributes);
    fmt::format_to(out, "GDT=     {:016x} {:04x}\nIDT=     {:016x} {:04x}\n", gdtr.base, gdtr.limit,
                   idtr.base, idtr.limit);
    fmt::format_to(out, "CR0={:08x} CR2={:016x} CR3={:016x} CR4={:08x} EFER={:08x}\n", cr0, cr2, cr3, cr4,
                   efer);
    fmt::format_to(out, "DR6={:08x} DR7={:08x} MXCSR={:08x} FCW={:04x} FSW={:04x} retired={}\n", dr[6], dr[7],
                   mxcsr, x87.control, x87.status, retired_text());
    for (unsigned i = 0; i < 16; ++i)
        fmt::format_to(out, "XMM{:02}={:016x}{:016x}{}", i, vec[i].qword[1], vec[i].qword[0],
                       i % 2 ? "\n" : " ");
    if (!(xcr0 & 4)) return text;
    for (unsigned i = 0; i < 16; ++i)
        fmt::format_to(out, "YMM{:02}H={:016x}{:016x}{}", i, vec[i].qword[3], vec[i].qword[2],
                       i % 2 ? "\n" : " ");
    return text;
}

void Vcpu::inspect(Inspector& inspector) const {
    static constexpr const char* kNames[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                             "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    for (unsigned i = 0; i < 16; ++i) inspector.hex(kNames[i], gpr[i]);
    inspector.hex("RIP", rip);
    inspector.hex("RFLAGS", rflags());
    inspector.hex("CR0", cr0);
    inspector.hex("CR2", cr2);
    inspector.hex("CR3", cr3);
    inspector.hex("CR4", cr4);
    inspector.hex("EFER", efer);
    inspector.text("retired", retired_text());
    auto counts = inspector.group("counters");
    counts.field("interrupts", counters.interrupts);
    counts.field("faults", counters.faults);
    counts.field("halts", counters.halts);
    counts.field("blocks decoded", counters.blocks_decoded);
    counts.field("block look-ups", counters.block_lookups);
    counts.field("code invalidations", counters.code_invalidations);
    counts.field("MMIO", counters.mmio);
    counts.field("port I/O", counters.port_io);
    counts.field("instructions of absent features", counters.absent_instructions);
    auto lapic = inspector.group("local APIC");
    apic->inspect(lapic);
}

}  // namespace shadowbox
