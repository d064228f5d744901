// SPDX-License-Identifier: MIT
// A 64-bit machine with flat memory on which x87, MMX and SSE instructions run through decoder and block
// cache, and end in
// HLT; an exception ends in the HLT of its handler, so that the test can tell which came.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "cpu/blocks/block.h"
#include "cpu/decode/decoder.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "mmu/zero_fill_pager.h"
#include "tests/row_log.h"

namespace shadowbox {

class StillClock : public GuestClock {
 public:
    GuestNs now() const override { return 0; }
    u64 wall_base_seconds() const override { return 0; }
};

class NoDevices : public MachineBus, public ApicMessageSink, public EoiListener {
 public:
    u32 port_read(u16, unsigned) override { return ~0u; }
    void port_write(u16, unsigned, u32) override {}
    u64 mmio_read(Gpa, unsigned) override { return ~u64{0}; }
    void mmio_write(Gpa, unsigned, u64) override {}
    u8 acknowledge_pic() override { return 7; }
    void run_exclusive(std::function<void()> work) override { work(); }
    const GuestClock& clock() const override { return clock_; }
    void deliver(const ApicMessage&) override {}
    void end_of_interrupt(u8) override {}

 private:
    StillClock clock_;
};

/// Says "wait" to the next `waits` demands for `page`.
class SlowPager : public ZeroFillPager {
 public:
    PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override {
        if (ppn == page && waits > 0) return --waits, PageOutcome::kWait;
        return ZeroFillPager::make_resident(memory, ppn, access);
    }
    Ppn page = kInvalidPpn;
    int waits = 0;
};

class SimdMachine {
 public:
    static constexpr u64 kCode = 0x2000, kData = 0x10000, kHandlers = 0x6000, kStack = 0x9000;
    static constexpr int kNoFault = -1;

    SimdMachine()
        : pool(std::move(*MachinePool::create(4096, 8192))),
          memory(*pool, pager, VmId(1)),
          model(cpu_model_v2()) {
        memory.map_ram(Ppn(0), 1024);
        model.features = ~u64{0};
        cpu = std::make_unique<Vcpu>(0, memory, bus, bus, bus, model);
        put(0x1000, u64{0x3003});  // PML4 -> PDPT -> PD -> 2 MiB pages, identity
        put(0x3000, u64{0x5003});
        put(0x5000, u64{0x83});
        put(0x5008, u64{0x200083});
        put(0x4008, u64{0x00AF9B000000FFFF});
        put(0x4010, u64{0x00CF93000000FFFF});
        for (unsigned vector = 0; vector < 32; ++vector) {
            u64 handler = kHandlers + vector * 16;
            put(0x7000 + vector * 16, (handler & 0xFFFF) | u64{8} << 16 | u64{0x8E} << 40);
            put(0x7008 + vector * 16, u64{0});
            put(handler, u8{0xF4});
        }
        enter_long_mode();
    }

    /// A new vCPU, on another bus.
    void use_bus(NoDevices& other) {
        cpu = std::make_unique<Vcpu>(0, memory, other, other, other, model);
        enter_long_mode();
    }
    /// Goes on at RIP, with `budget` instructions, to an HLT.
    void run_to_halt() {
        cpu->halted = false;
        cpu->safepoint.enter();
        const ExitReason reason = cpu->run(budget);
        cpu->safepoint.leave();
        REQUIRE(reason == ExitReason::kHalt);
    }

    /// Runs `code` to its end. The vector of the exception that stopped it, or kNoFault.
    int run(const std::vector<u8>& code) {
        std::vector<u8> bytes = code;
        bytes.push_back(0xF4);
        memory.write(Gpa(kCode), bytes);
        cpu->blocks->flush();
        if (RowLog::instance().on()) log_rows(bytes);
        cpu->rip = kCode;
        cpu->gpr[kRsp] = kStack;
        run_to_halt();
        if (cpu->rip == kCode + bytes.size()) return kNoFault;
        return static_cast<int>((cpu->rip - kHandlers) / 16);
    }

    template <class T>
    void put(u64 where, T value) {
        memory.write(Gpa(where), std::span(reinterpret_cast<const u8*>(&value), sizeof value));
    }
    template <class T>
    T get(u64 where) {
        T value{};
        memory.read(Gpa(where), std::span(reinterpret_cast<u8*>(&value), sizeof value));
        return value;
    }
    void set_control(u64 cr0, u64 cr4) {
        cpu->cr0 = cr0;
        cpu->cr4 = cr4;
        cpu->mmu.set_control(cpu->cr0, cpu->cr4, cpu->efer);
        cpu->update_mode();
    }
    void set_xmm(unsigned number, u64 high, u64 low) {
        cpu->vec[number].qword[0] = low, cpu->vec[number].qword[1] = high;
    }
    bool xmm_is(unsigned number, u64 high, u64 low) const {
        return cpu->vec[number].qword[0] == low && cpu->vec[number].qword[1] == high;
    }

    static constexpr u64 kCr0 = cr0::kPG | cr0::kPE | cr0::kET | cr0::kNE | cr0::kMP;
    static constexpr u64 kCr4 = cr4::kPAE | cr4::kOSFXSR | cr4::kOSXMMEXCPT | cr4::kOSXSAVE;

    i64 budget = 100'000;  ///< of a run, in instructions and iterations
    std::unique_ptr<MachinePool> pool;
    SlowPager pager;
    GuestMemory memory;
    NoDevices bus;
    CpuModel model;
    std::unique_ptr<Vcpu> cpu;

 private:
    void log_rows(std::vector<u8> bytes) {
        std::size_t end = bytes.size();
        bytes.resize(end + 16, 0x90);
        for (std::size_t at = 0; at < end;) {
            Insn insn;
            DecodeContext context{cpu->mode, kCode + at, &model};
            if (decode_insn(context, bytes.data() + at, 16, insn) != DecodeStatus::kOk) return;
            RowLog::instance().note(insn.row, "unit_cpu: " + Catch::getResultCapture().getCurrentTestName());
            at += insn.length;
        }
    }
    void enter_long_mode() {
        cpu->efer = efer::kLME | efer::kLMA;
        cpu->cr3 = 0x1000;
        cpu->xcr0 = 3;
        cpu->seg[kCs] = {8, 0xA09B, 0xFFFFFFFF, 0};
        for (Seg s : {kDs, kEs, kSs, kFs, kGs}) cpu->seg[s] = {0x10, 0xC093, 0xFFFFFFFF, 0};
        cpu->gdtr = {0x4000, 0x17};
        cpu->idtr = {0x7000, 0x1FF};
        set_control(kCr0, kCr4);
        cpu->mmu.set_cr3(0x1000, false);
        cpu->x87.control = 0x37F;
        cpu->x87.empty = 0xFF;
    }
};

}  // namespace shadowbox
