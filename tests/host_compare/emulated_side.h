// SPDX-License-Identifier: MIT
// The emulated side: a Vcpu at CPL 3 over page tables that mirror the worker's mappings, with Linux's
// selectors and an IDT whose handlers are HLT at CPL 0. The exception frame on the kernel stack tells how the
// sequence ended.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "mmu/zero_fill_pager.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

class QuietMachine : public MachineBus, public ApicMessageSink, public EoiListener, public GuestClock {
 public:
    u32 port_read(u16, unsigned) override { return ~0u; }
    void port_write(u16, unsigned, u32) override {}
    u64 mmio_read(Gpa, unsigned) override { return ~u64{0}; }
    void mmio_write(Gpa, unsigned, u64) override {}
    u8 acknowledge_pic() override { return 7; }
    void run_exclusive(std::function<void()> work) override { work(); }
    const GuestClock& clock() const override { return *this; }
    void deliver(const ApicMessage&) override {}
    void end_of_interrupt(u8) override {}
    GuestNs now() const override { return 0; }
    u64 wall_base_seconds() const override { return 0; }
};

/// Who runs the case. kMixed: exact counts, and from slice to slice new blocks are translated at once or not
/// at all.
enum class Engine : u8 { kInterpreter, kTranslator, kMixed };

struct ExecutedInsn {
    u64 rip = 0;
    u8 cl = 0;  ///< when it started
    Insn insn;
};

class EmulatedSide {
 public:
    /// `small_cache`: the smallest that there is, so that code is evicted all the time.
    explicit EmulatedSide(bool low_page, Engine engine = Engine::kInterpreter, bool small_cache = false);
    /// `slice`: instructions per run() call; 0 runs to the end at once.
    void run(const TestCase& c, Outcome& out, i64 slice = 0);
    /// kMixed: slices and who runs them follow from `seed`.
    void run_mixed(const TestCase& c, Outcome& out, u64 seed);
    /// What a run executes in the code pages, in order, those instructions included on which a wild jump
    /// lands. kInterpreter only.
    std::vector<ExecutedInsn> executed(const TestCase& c);
    const CpuModel& model() const { return model_; }
    u64 retired() const { return retired_; }  ///< of the last run, the closing HLTs included

 private:
    void build_tables(bool low_page);
    void map(u64 linear, u64 gpa, u64 bits);
    template <class T>
    void put(u64 gpa, T value) {
        memory_.write(Gpa(gpa), std::span(reinterpret_cast<const u8*>(&value), sizeof value));
    }
    template <class T>
    T get(u64 gpa) {
        T value{};
        memory_.read(Gpa(gpa), std::span(reinterpret_cast<u8*>(&value), sizeof value));
        return value;
    }
    void load(const TestCase& c);
    void store(Outcome& out);
    /// `next` says how many instructions the next slice has, of those left.
    void run_sliced(const TestCase& c, Outcome& out, const std::function<i64(i64 left)>& next);

    std::unique_ptr<MachinePool> pool_;
    ZeroFillPager pager_;
    GuestMemory memory_;
    QuietMachine machine_;
    CpuModel model_;
    std::unique_ptr<Vcpu> cpu_;
    u64 next_table_ = 0x10000, retired_ = 0;
    unsigned dirty_at_ = 0, dirty_size_ = 0;
    /// Translated code without exact counts leaves a loop only when asked to.
    std::jthread interrupter_;
};

}  // namespace shadowbox::compare
