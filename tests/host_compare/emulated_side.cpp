// SPDX-License-Identifier: MIT
#include "emulated_side.h"

#include <chrono>

#include "cpu/blocks/block.h"
#include "cpu/decode/decoder.h"
#include "cpu/jit/jit.h"
#include "sequences/random_source.h"

namespace shadowbox::compare {

namespace {
// Guest-physical places.
constexpr u64 kPml4 = 0x1000, kGdt = 0x2000, kIdt = 0x3000, kTss = 0x4000, kHandlers = 0x5000,
              kKernelStack = 0x6000, kFrames = 0x100000;
// Their linear addresses: physical + kKernel, supervisor only.
constexpr u64 kKernel = 0xFFFFFFFF80000000;
constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kNoExecute = u64{1} << 63;
constexpr u64 kStackTop = kKernel + kKernelStack + 0x1000;
constexpr i64 kBudget = 200000;

constexpr u64 frame_of_low = kFrames, frame_of_data = kFrames + kLowSize,
              frame_of_stack = frame_of_data + kDataSize, frame_of_read_only = frame_of_stack + kStackSize,
              frame_of_code = frame_of_read_only + kReadOnlySize;
}  // namespace

EmulatedSide::EmulatedSide(bool low_page, Engine engine, bool small_cache)
    : pool_(std::move(*MachinePool::create(4096, 8192))),
      memory_(*pool_, pager_, VmId(1)),
      model_(host_runs_v3() ? cpu_model_v3() : cpu_model_v2()) {
    memory_.map_ram(Ppn(0), 1024);
    cpu_ = std::make_unique<Vcpu>(0, memory_, machine_, machine_, machine_, model_);
    cpu_->exact_time = engine == Engine::kMixed;
    if (small_cache) cpu_->blocks->resize(BlockCache::kMinBytes);
    if (engine != Engine::kInterpreter && !cpu_->enable_jit(1, small_cache ? jit::Jit::kMinBytes : 0))
        abort();
    build_tables(low_page);
    if (engine != Engine::kTranslator) return;
    interrupter_ = std::jthread([this](std::stop_token stop) {
        for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(50)))
            cpu_->post_attention(SafepointParticipant::kAttentionStop);
    });
}

void EmulatedSide::map(u64 linear, u64 gpa, u64 bits) {
    u64 table = kPml4;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        u64 where = table + (linear >> shift & 511) * 8, entry = get<u64>(where);
        if (!entry) {
            entry = next_table_ | 7;
            next_table_ += 0x1000;
            put(where, entry);
        }
        table = entry & ~u64{0xFFF};
    }
    put(table + (linear >> 12 & 511) * 8, gpa | bits | kPresent);
}

void EmulatedSide::build_tables(bool low_page) {
    auto range = [this](u64 linear, u64 gpa, u64 size, u64 bits) {
        for (u64 at = 0; at < size; at += 0x1000) map(linear + at, gpa + at, bits);
    };
    if (low_page) range(kLow, frame_of_low, kLowSize, kUser | kWritable | kNoExecute);
    range(kData, frame_of_data, kDataSize, kUser | kWritable | kNoExecute);
    range(kStack, frame_of_stack, kStackSize, kUser | kWritable | kNoExecute);
    range(kReadOnly, frame_of_read_only, kReadOnlySize, kUser | kNoExecute);
    range(kCode, frame_of_code, kCodeSize, kUser);
    range(kKernel, 0, 0x8000, kWritable);
    put(kGdt + 0x10, u64{0x00AF9B000000FFFF});  // kernel code
    put(kGdt + 0x18, u64{0x00CF93000000FFFF});
    put(kGdt + 0x20, u64{0x00CFFB000000FFFF});  // user code, 32-bit: selector 23H
    put(kGdt + 0x28, u64{0x00CFF3000000FFFF});  // user data: 2BH
    put(kGdt + 0x30, u64{0x00AFFB000000FFFF});  // user code, 64-bit: 33H
    for (u64 vector = 0; vector < 256; ++vector) {
        u64 handler = kKernel + kHandlers + vector * 16, dpl = vector == 3 || vector == 4 ? 3 : 0;
        put(kIdt + vector * 16, (handler & 0xFFFF) | u64{0x10} << 16 | (u64{0x8E} | dpl << 5) << 40 |
                                    (handler >> 16 & 0xFFFF) << 48);
        put(kIdt + vector * 16 + 8, handler >> 32);
        put(kHandlers + vector * 16, u8{0xF4});
    }
    put(kTss + 4, kStackTop);
    put(kTss + 0x66, u16{0x68});
    std::vector<u8> page(kReadOnlySize);
    fill_read_only(page.data());
    memory_.write(Gpa(frame_of_read_only), page);
    std::vector<u8> code(kCodeSize, 0xF4);
    memory_.write(Gpa(frame_of_code), code);

    Vcpu& cpu = *cpu_;
    cpu.efer = efer::kLME | efer::kLMA | efer::kNXE | efer::kSCE;
    cpu.cr0 = cr0::kPG | cr0::kPE | cr0::kET | cr0::kNE | cr0::kMP | cr0::kWP | cr0::kAM;
    cpu.cr4 = cr4::kPAE | cr4::kOSFXSR | cr4::kOSXMMEXCPT | cr4::kOSXSAVE | cr4::kUMIP | cr4::kFSGSBASE;
    cpu.cr3 = kPml4;
    cpu.xcr0 = model_.has(OpFeature::Avx) ? 7 : 3;
    cpu.gdtr = {kKernel + kGdt, 0x7F};
    cpu.idtr = {kKernel + kIdt, 0xFFF};
    cpu.ldtr = {0, 0, 0, 0};  // as under Linux
    cpu.tr = {0x40, 0x8B, 0x67, kKernel + kTss};
    cpu.mmu.set_control(cpu.cr0, cpu.cr4, cpu.efer);
    cpu.mmu.set_cr3(kPml4, false);
}

void EmulatedSide::load(const TestCase& c) {
    static thread_local u8 image[kImageSize];
    fill_image(c.memory_seed, image, kImageSize);
    apply_patches(c, image);
    memory_.write(Gpa(kFrames), image);
    std::vector<u8> hlt(dirty_size_, 0xF4);
    if (dirty_size_) memory_.write(Gpa(frame_of_code + dirty_at_), hlt);
    dirty_at_ = c.code_offset;
    dirty_size_ = std::min<unsigned>(c.code_size, static_cast<unsigned>(kCodeSize) - c.code_offset);
    if (dirty_size_) memory_.write(Gpa(frame_of_code + dirty_at_), std::span(c.code, dirty_size_));

    Vcpu& cpu = *cpu_;
    for (u64 page = 0; page < kCodeSize; page += 0x1000)
        cpu.blocks->invalidate(Gpa(frame_of_code + page).ppn(), 0, 0x1000);
    if (cpu.blocks->bytes_used() > 16u << 20) cpu.blocks->flush();
    memcpy(cpu.gpr, c.start.gpr, sizeof c.start.gpr);
    cpu.set_rflags(c.start.flags);
    cpu.rip = c.start.rip;
    cpu.cpl = 3;
    if (c.mode32)
        cpu.seg[kCs] = {c.start.cs, 0xC0FB, 0xFFFFFFFF, 0};
    else
        cpu.seg[kCs] = {0x33, 0xA0FB, 0xFFFFFFFF, 0};
    for (Seg s : {kSs, kDs, kEs, kFs, kGs}) cpu.seg[s] = {0x2B, 0xC0F3, 0xFFFFFFFF, 0};
    cpu.interrupt_shadow = false;
    cpu.dr[6] = 0xFFFF0FF0;
    memcpy(&cpu.x87.control, c.start.fx, 2);
    memcpy(&cpu.x87.status, c.start.fx + 2, 2);
    cpu.x87.empty = static_cast<u8>(~c.start.fx[4]);
    memcpy(&cpu.mxcsr, c.start.fx + 24, 4);
    for (unsigned i = 0; i < 8; ++i) {
        Float80& value = cpu.x87.st[(cpu.x87.top() + i) & 7];
        memcpy(&value.significand, c.start.fx + 32 + 16 * i, 8);
        memcpy(&value.sign_exponent, c.start.fx + 40 + 16 * i, 2);
    }
    for (unsigned i = 0; i < 16; ++i) {
        memcpy(cpu.vec[i].byte, c.start.fx + 160 + 16 * i, 16);
        memcpy(cpu.vec[i].byte + 16, c.start.ymm_high + 16 * i, 16);
    }
    cpu.update_mode();
}

void EmulatedSide::store(Outcome& out) {
    Vcpu& cpu = *cpu_;
    u64 entry = (cpu.rip - 1 - kKernel - kHandlers) / 16;  // behind the handler's HLT
    out.kind = Outcome::kException;
    out.vector = static_cast<u8>(entry);
    bool has_error = entry == 8 || (entry >= 10 && entry <= 14) || entry == 17;
    u64 frame = kKernelStack + 0x1000 - (has_error ? 48 : 40);
    out.error = 0;
    if (has_error) {
        out.error = static_cast<u32>(get<u64>(frame));
        frame += 8;
    }
    out.cr2 = cpu.cr2;
    memcpy(out.end.gpr, cpu.gpr, sizeof out.end.gpr);
    out.end.rip = get<u64>(frame);
    out.end.cs = get<u16>(frame + 8);
    out.end.flags = get<u64>(frame + 16);
    out.end.gpr[kRsp] = get<u64>(frame + 24);
    memcpy(out.end.fx, &cpu.x87.control, 2);
    memcpy(out.end.fx + 2, &cpu.x87.status, 2);
    out.end.fx[4] = static_cast<u8>(~cpu.x87.empty);
    memcpy(out.end.fx + 24, &cpu.mxcsr, 4);
    for (unsigned i = 0; i < 8; ++i) {
        const Float80& value = cpu.x87.st[(cpu.x87.top() + i) & 7];
        memcpy(out.end.fx + 32 + 16 * i, &value.significand, 8);
        memcpy(out.end.fx + 40 + 16 * i, &value.sign_exponent, 2);
    }
    for (unsigned i = 0; i < 16; ++i) {
        memcpy(out.end.fx + 160 + 16 * i, cpu.vec[i].byte, 16);
        memcpy(out.end.ymm_high + 16 * i, cpu.vec[i].byte + 16, 16);
    }
    memory_.read(Gpa(kFrames), out.image);
}

void EmulatedSide::run(const TestCase& c, Outcome& out, i64 slice) {
    run_sliced(c, out, [slice](i64 left) { return slice ? std::min(slice, left) : left; });
}

void EmulatedSide::run_mixed(const TestCase& c, Outcome& out, u64 seed) {
    RandomSource random(seed, 0);
    run_sliced(c, out, [&](i64 left) {
        cpu_->jit->set_hot_entries(random.chance(60) ? 1 : ~0u);
        return std::min<i64>(1 + static_cast<i64>(random.below(6)), left);
    });
}

std::vector<ExecutedInsn> EmulatedSide::executed(const TestCase& c) {
    load(c);
    std::vector<ExecutedInsn> log;
    ExitReason reason = ExitReason::kBudget;
    cpu_->safepoint.enter();
    for (i64 left = kBudget; reason == ExitReason::kBudget && left > 0; --left) {
        u64 offset = cpu_->rip - kCode;
        if (cpu_->cpl == 3 && offset < kCodeSize) {
            u8 bytes[16] = {};
            memory_.read(Gpa(frame_of_code + offset),
                         std::span(bytes, std::min<u64>(sizeof bytes, kCodeSize - offset)));
            ExecutedInsn step{cpu_->rip, static_cast<u8>(cpu_->gpr[kRcx]), {}};
            if (decode_insn({cpu_->mode, cpu_->rip, &model_}, bytes, sizeof bytes, step.insn) ==
                DecodeStatus::kOk)
                log.push_back(step);
        }
        reason = cpu_->run(1);
    }
    cpu_->safepoint.leave();
    return log;
}

void EmulatedSide::run_sliced(const TestCase& c, Outcome& out, const std::function<i64(i64 left)>& next) {
    load(c);
    Vcpu& cpu = *cpu_;
    u64 before = cpu.retired;
    i64 left = c.long_code ? 100 * kBudget : kBudget;
    ExitReason reason = ExitReason::kBudget;
    cpu.safepoint.enter();
    while (reason == ExitReason::kBudget && left > 0) {
        i64 now = next(left);
        reason = cpu.run(now);
        left -= now;
        if (reason != ExitReason::kStop) continue;
        cpu.safepoint.attention.fetch_and(~u32{SafepointParticipant::kAttentionStop});
        reason = ExitReason::kBudget;
        left = (left + now) - kBudget / 20;  // a second of it is endless
    }
    cpu.safepoint.leave();
    retired_ = cpu.retired - before;
    if (reason == ExitReason::kBudget)
        out.kind = Outcome::kEndless;
    else if (reason != ExitReason::kHalt || cpu.rip - kKernel - kHandlers - 1 >= 256 * 16)
        out.kind = Outcome::kOddExit;
    else
        store(out);
}

}  // namespace shadowbox::compare
