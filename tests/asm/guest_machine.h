// SPDX-License-Identifier: MIT
// A machine without devices for the guests of tests/asm: RAM, one or two vCPUs in turn on this thread, a
// clock that counts the first vCPU's retired instructions, and port F4H where a guest reports: 0 is success,
// else the number of the check that failed. Port F8H is a stream for string I/O, moved in runs that end
// before every 64th byte as a drive's do (MachineBus::port_read_run). FERR# of the first vCPU is IRQ 13,
// vector 75H, without a mask; port F0H answers it. A0000H to BFFFFH is a
// device's memory, as a display's is.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/access/memory_access.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/decode/decoder.h"
#include "cpu/events/interrupts.h"
#include "cpu/jit/jit.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "mmu/zero_fill_pager.h"
#include "tests/row_log.h"

namespace shadowbox::asm_test {

/// How the budget is cut: the result must not depend on it.
enum class Slicing : u8 { kWhole, kSingle, kRandom };

struct GuestResult {
    int reported = -1;  ///< what the guest wrote to port F4H; -1: nothing
    bool shutdown = false;
    std::string state;  ///< registers and retired count of every vCPU, hash of memory
    std::string story;  ///< for messages
    u64 retired = 0;
};

class GuestMachine : public MachineBus, public ApicMessageSink, public EoiListener, public GuestClock {
 public:
    static constexpr u64 kLoad = 0x7C00, kMemoryPages = 4096;

    GuestMachine(unsigned vcpus, std::string name, bool translate = false, bool v3 = false,
                 bool small_cache = false, bool host_clock = false)
        : name_(std::move(name)),
          host_clock_(host_clock),
          pool_(std::move(*MachinePool::create(2 * kMemoryPages, 8192))),
          memory_(*pool_, pager_, VmId(1)) {
        memory_.map_ram(Ppn(0), kMemoryPages);
        memory_.unmap(Ppn(kDeviceMemory / kPageSize), sizeof device_ / kPageSize);
        for (unsigned i = 0; i < vcpus; ++i) {
            cpus_.push_back(std::make_unique<Vcpu>(i, memory_, *this, *this, *this,
                                                   v3 ? cpu_model_v3() : cpu_model_v2()));
            Vcpu& cpu = *cpus_.back();
            cpu.vcpu_count = vcpus;
            cpu.alone = true;
            cpu.exact_time = !host_clock;
            cpu.on_timer_changed = [this, &cpu] { limit_to_deadline(cpu); };
            if (small_cache) cpu.blocks->resize(BlockCache::kMinBytes);
            if (translate && !cpu.enable_jit(1, small_cache ? jit::Jit::kMinBytes : 0)) abort();
        }
    }

    /// Called between slices: at an instruction boundary, no vCPU inside guest code.
    std::function<void()> on_slice;
    GuestMemory& memory() { return memory_; }
    u64 retired() const { return cpus_[0]->retired; }

    GuestResult run(const std::vector<u8>& image, Slicing slicing, u64 seed) {
        memory_.write(Gpa(kLoad), image);
        Vcpu& first = *cpus_[0];
        first.seg[kCs] = {0, 0x93, 0xFFFF, 0};
        first.rip = kLoad;
        first.gpr[kRsp] = 0x7000;
        first.update_mode();
        random_ = seed;
        GuestResult result;
        for (u64 turns = 0; turns < kMaxTurns && !result.shutdown; ++turns) {
            bool progress = false;
            for (auto& cpu : cpus_) progress |= turn(*cpu, slicing, result);
            result.reported = reported_;
            if (!progress && (reported_ >= 0 || !skip_to_deadline())) break;
        }
        result.state = state();
        result.retired = first.retired;
        result.story = first.dump() + (result.shutdown ? shutdown_story(first) : "");
        return result;
    }

    // --- MachineBus ---
    u32 port_read(u16 port, unsigned size) override {
        if (port == 0xF9) return wrong_;
        if (port != 0xF8) return port == 0xF5 ? 0x5A5A5A5A : ~0u;
        u32 value = 0;
        for (unsigned i = 0; i < size; ++i) value |= u32{stream(given_++)} << (8 * i);
        return value;
    }
    u32 port_read_run(u16 port, unsigned size, std::span<u8> to) override {
        u32 elements = port == 0xF8 ? run_length(given_, size, to.size()) : 0;
        for (u32 i = 0; i < elements * size; ++i) to[i] = stream(given_++);
        return elements;
    }
    u32 port_write_run(u16 port, unsigned size, std::span<const u8> from) override {
        u32 elements = port == 0xF8 ? run_length(taken_, size, from.size()) : 0;
        for (u32 i = 0; i < elements * size; ++i) wrong_ += from[i] != stream(taken_++);
        return elements;
    }
    void port_write(u16 port, unsigned size, u32 value) override {
        for (unsigned i = 0; port == 0xF8 && i < size; ++i)
            wrong_ += static_cast<u8>(value >> (8 * i)) != stream(taken_++);
        if (port == 0xF9) taken_ = value * 4;
        if (port == 0xF0 && ferr_) {
            cpus_[0]->set_pic_line(false);
            cpus_[0]->set_ignne(true);
        }
        if (port == 0xF4 && reported_ < 0) reported_ = static_cast<int>(value & 0xFF);
        if (port == 0xF6) cpus_[0]->post_nmi();
    }
    u64 mmio_read(Gpa where, unsigned size) override {
        u64 value = ~u64{0};
        if (in_device(where, size)) memcpy(&value, device_ + (where.value - kDeviceMemory), size);
        return value;
    }
    void mmio_write(Gpa where, unsigned size, u64 value) override {
        if (in_device(where, size)) memcpy(device_ + (where.value - kDeviceMemory), &value, size);
    }
    u8 acknowledge_pic() override { return ferr_ ? 0x75 : 7; }
    void x87_error(unsigned vcpu, bool asserted) override {
        if (vcpu != 0) return;
        ferr_ = asserted;
        cpus_[0]->set_pic_line(asserted);
        if (!asserted) cpus_[0]->set_ignne(false);
    }
    void run_exclusive(std::function<void()> work) override { work(); }
    const GuestClock& clock() const override { return *this; }
    void deliver(const ApicMessage& m) override {
        for (auto& cpu : cpus_) {
            if (!cpu->apic->matches(m.destination, m.logical)) continue;
            switch (m.delivery) {
                case ApicDelivery::kNmi: cpu->post_nmi(); break;
                case ApicDelivery::kInit: cpu->apic->post_init(); break;
                case ApicDelivery::kStartup: cpu->apic->post_sipi(m.vector); break;
                default: cpu->apic->post(m.vector, m.level_triggered); break;
            }
        }
    }
    void end_of_interrupt(u8) override {}
    GuestNs now() const override { return host_clock_ ? ++ticks_ : skipped_ + cpus_[0]->retired_now(); }
    u64 wall_base_seconds() const override { return 0; }

 private:
    static u8 stream(u64 position) { return static_cast<u8>(position * 7 + 3); }
    static u32 run_length(u64 position, unsigned size, u64 bytes) {
        return static_cast<u32>(std::min<u64>((63 - position % 64) / size, bytes / size));
    }
    static bool in_device(Gpa where, unsigned size) {
        return where.value >= kDeviceMemory && where.value + size <= kDeviceMemory + sizeof device_;
    }
    static constexpr u64 kMaxTurns = 20000;  // a guest takes far less

    /// With two vCPUs each gets exactly 100 instructions in turn, however they are cut.
    bool turn(Vcpu& cpu, Slicing slicing, GuestResult& result) {
        u64 quantum = 100, goal = cpu.retired + quantum;
        bool progress = false;
        while (cpu.retired < goal) {
            cpu.apic->run_timer(now());
            if (cpu.halted || cpu.waiting_for_sipi()) {
                if (!cpu.wakeup_pending()) return progress;
                cpu.halted = false;
                cpu.recheck_interrupts();
            }
            u64 left = goal - cpu.retired, slice = left;
            if (slicing == Slicing::kSingle) slice = 1;
            if (slicing == Slicing::kRandom) slice = std::min<u64>(left, 1 + next_random() % 37);
            GuestNs deadline = cpu.apic->next_deadline();
            if (deadline != kNever) slice = std::min<u64>(slice, deadline > now() ? deadline - now() : 1);
            cpu.safepoint.enter();
            if (slicing == Slicing::kSingle && RowLog::instance().on()) log_row(cpu);
            u64 before = cpu.retired;
            ExitReason reason = cpu.run(static_cast<i64>(slice));
            if (reason == ExitReason::kWaitPage) cpu.mmu.wait_for_page();
            if (reason == ExitReason::kExclusive) reason = cpu.step_exclusive();
            cpu.safepoint.leave();
            if (on_slice) on_slice();
            if (reason == ExitReason::kShutdown) {
                result.shutdown = true;
                return true;
            }
            stuck_ = cpu.retired == before ? stuck_ + 1 : 0;
            if (stuck_ > 1000) {
                result.shutdown = true;
                return true;
            }
            cpu.halted = reason == ExitReason::kHalt;
            progress = true;
        }
        return progress;
    }
    /// The row of the next instruction. Reads code as the supervisor, which may set accessed bits early.
    void log_row(Vcpu& cpu) {
        u64 linear = cpu.long64() ? cpu.rip : (cpu.rip + cpu.seg[kCs].base) & 0xFFFFFFFF;
        u8 bytes[16] = {};
        unsigned size = static_cast<unsigned>(std::min<u64>(16, kPageSize - (linear & kPageOffsetMask)));
        const u64 hits = cpu.pending_dr6;  // a watched page's: this is no access of the guest's
        for (unsigned i = 0; i < size; ++i)
            if (!load_slow(cpu, linear + i, 1, bytes + i, true)) size = i;
        cpu.exit = ExitReason::kNone;
        cpu.pending_dr6 = hits;
        Insn insn;
        DecodeContext context{cpu.mode, cpu.rip, &cpu.model};
        if (decode_insn(context, bytes, 16, insn) == DecodeStatus::kOk)
            RowLog::instance().note(insn.row, name_);
    }
    void limit_to_deadline(Vcpu& cpu) {
        GuestNs deadline = cpu.apic->next_deadline();
        if (deadline != kNever) cpu.shrink_budget(deadline > now() ? static_cast<i64>(deadline - now()) : 0);
    }
    /// Everyone sleeps: the clock goes to the next timer.
    bool skip_to_deadline() {
        GuestNs next = kNever;
        for (auto& cpu : cpus_) next = std::min(next, cpu->apic->next_deadline());
        if (next == kNever) return false;
        if (next > now()) skipped_ += next - now();
        for (auto& cpu : cpus_) { cpu->apic->run_timer(now()); }
        return true;
    }
    u64 next_random() {
        return random_ = random_ * 6364136223846793005u + 1442695040888963407u, random_ >> 33;
    }
    std::string state() {
        std::string text;
        for (auto& cpu : cpus_) text += cpu->dump();
        const std::string_view device(reinterpret_cast<const char*>(device_), sizeof device_);
        return text + fmt::format("memory {:x} device {:x}", memory_.content_hash(),
                                  std::hash<std::string_view>()(device));
    }

    std::string name_;
    const bool host_clock_;  ///< retired instructions tell no time: it only goes on
    mutable u64 ticks_ = 0;
    std::unique_ptr<MachinePool> pool_;
    ZeroFillPager pager_;
    GuestMemory memory_;
    std::vector<std::unique_ptr<Vcpu>> cpus_;
    int reported_ = -1;
    u64 skipped_ = 0, random_ = 1, stuck_ = 0;
    u64 given_ = 0, taken_ = 0;
    u32 wrong_ = 0;
    static constexpr u64 kDeviceMemory = 0xA0000;
    u8 device_[0x20000] = {};
    bool ferr_ = false;
};

}  // namespace shadowbox::asm_test
