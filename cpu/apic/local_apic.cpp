// SPDX-License-Identifier: MIT
#include "cpu/apic/local_apic.h"

#include <bit>

#include "core/log.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
// Register numbers: xAPIC offset / 16 = x2APIC MSR - 800H (SDM 3A tables 11-1, 11-6).
enum : u32 {
    kId = 0x02,
    kVersion = 0x03,
    kTpr = 0x08,
    kApr = 0x09,
    kPpr = 0x0A,
    kEoi = 0x0B,
    kLdr = 0x0D,
    kDfr = 0x0E,
    kSvr = 0x0F,
    kIsr = 0x10,
    kTmr = 0x18,
    kIrr = 0x20,
    kEsr = 0x28,
    kLvtCmci = 0x2F,
    kIcrLow = 0x30,
    kIcrHigh = 0x31,
    kLvtTimer = 0x32,
    kLvtLast = 0x37,
    kInitialCount = 0x38,
    kCurrentCount = 0x39,
    kDivide = 0x3E,
    kSelfIpi = 0x3F
};
enum Lvt { kCmci, kTimer, kThermal, kPerformance, kLint0, kLint1, kError };
constexpr u32 kMasked = 1 << 16;
constexpr u32 kLvtCmciWritable = 0x117FF;
constexpr u32 kSendIllegalVector = 1 << 5, kReceiveIllegalVector = 1 << 6;  // of ESR
constexpr u32 kFirstVector = 16;
constexpr u32 kVersionValue = 0x14 | 5 << 16 | 1 << 24;  // six LVT entries, EOI broadcast suppression
}  // namespace

LocalApic::LocalApic(Vcpu& cpu, u32 id, ApicMessageSink& sink, EoiListener& eoi)
    : cpu_(cpu), id_(id), sink_(sink), eoi_(eoi), base_(0) {
    reset(false);
}

void LocalApic::reset(bool keep_base) {
    if (!keep_base) base_ = kDefaultBase | 1 << 11 | (id_ == 0 ? 1 << 8 : 0);
    svr_ = 0xFF;
    ldr_ = x2apic() ? (id_ >> 4) << 16 | 1u << (id_ & 15) : 0;
    dfr_ = ~0u;
    tpr_ = esr_ = esr_pending_ = initial_count_ = divide_ = 0;
    icr_ = tsc_deadline_ = 0;
    for (unsigned i = 0; i < 8; ++i) irr_[i] = isr_[i] = tmr_[i] = 0, posted_[i] = 0, posted_level_[i] = 0;
    for (u32& lvt : lvt_) lvt = kMasked;
    timer_deadline_ = kNever;
}

void LocalApic::post(u8 vector, bool level_triggered) {
    if (!enabled() || !software_enabled()) return;
    u32 bit = 1u << (vector & 31);
    if (level_triggered)
        posted_level_[vector / 32].fetch_or(bit, std::memory_order_relaxed);
    else
        posted_level_[vector / 32].fetch_and(~bit, std::memory_order_relaxed);
    posted_[vector / 32].fetch_or(bit, std::memory_order_release);
    cpu_.post_attention(SafepointParticipant::kAttentionInterrupt);
}
void LocalApic::post_init() {
    sipi_ = -1;
    init_ = true;
    cpu_.post_attention(SafepointParticipant::kAttentionInterrupt);
}
void LocalApic::post_sipi(u8 page) {
    sipi_ = page;
    cpu_.post_attention(SafepointParticipant::kAttentionInterrupt);
}
bool LocalApic::take_sipi(u8& page) {
    int posted = sipi_.exchange(-1, std::memory_order_acq_rel);
    page = static_cast<u8>(posted);
    return posted >= 0;
}

bool LocalApic::matches(u32 destination, bool logical) const {
    if (x2apic()) {
        if (destination == ~0u) return true;
        if (!logical) return destination == id_;
        u32 ldr = ldr_.load(std::memory_order_relaxed);
        return destination >> 16 == ldr >> 16 && (destination & ldr & 0xFFFF);
    }
    // An 8-bit broadcast also comes from a 32-bit sender.
    if ((destination & 0xFF) == 0xFF) return true;
    if (!logical) return destination == id_;
    u32 mine = ldr_.load(std::memory_order_relaxed) >> 24;
    if (dfr_.load(std::memory_order_relaxed) >> 28 == 0xF) return mine & destination;
    return mine >> 4 == destination >> 4 && (mine & destination & 15);
}

bool LocalApic::set_base(u64 value) {
    u64 reserved = ~((u64{1} << kPhysicalBits) - 1) | 0x2FF;
    if (value & reserved) return false;
    bool enable = value & 1 << 11, extended = value & 1 << 10, was_enabled = enabled(),
         was_extended = x2apic();
    if (extended && !enable) return false;
    if (was_extended && enable && !extended) return false;  // x2APIC to xAPIC only by way of disabled
    if (!was_enabled && extended) return false;
    base_ = value;
    if (extended && !was_extended) ldr_ = (id_ >> 4) << 16 | 1u << (id_ & 15);
    if (!enable && was_enabled) reset(true);
    return true;
}

void LocalApic::collect_posted() const {
    for (unsigned i = 0; i < 8; ++i) {
        if (!posted_[i].load(std::memory_order_relaxed)) continue;
        auto& self = const_cast<LocalApic&>(*this);
        u32 bits = self.posted_[i].exchange(0, std::memory_order_acquire),
            level = posted_level_[i].load(std::memory_order_relaxed);
        irr_[i] |= bits;
        tmr_[i] = (tmr_[i] & ~bits) | (level & bits);
    }
}

bool LocalApic::waits(u8 vector) const {
    collect_posted();
    return irr_[vector / 32] >> vector % 32 & 1;
}
bool LocalApic::any_waits() const {
    collect_posted();
    return highest(irr_) >= 0;
}

int LocalApic::highest(const u32* bits) const {
    for (int i = 7; i >= 0; --i)
        if (bits[i]) return i * 32 + 31 - std::countl_zero(bits[i]);
    return -1;
}
unsigned LocalApic::processor_priority() const {
    int service = highest(isr_);
    unsigned in_service = service < 0 ? 0 : static_cast<unsigned>(service);
    return (tpr_ & 0xF0) >= (in_service & 0xF0) ? tpr_ : in_service & 0xF0;
}
bool LocalApic::has_deliverable() const {
    collect_posted();
    int vector = highest(irr_);
    return vector >= 0 && (static_cast<unsigned>(vector) & 0xF0) > (processor_priority() & 0xF0);
}
int LocalApic::acknowledge() {
    if (!has_deliverable()) return -1;
    int vector = highest(irr_);
    irr_[vector / 32] &= ~(1u << (vector & 31));
    isr_[vector / 32] |= 1u << (vector & 31);
    return vector;
}
void LocalApic::end_of_interrupt() {
    int vector = highest(isr_);
    if (vector < 0) return;
    u32 bit = 1u << (vector & 31);
    isr_[vector / 32] &= ~bit;
    if ((tmr_[vector / 32] & bit) && !(svr_.load(std::memory_order_relaxed) & 1 << 12))
        eoi_.end_of_interrupt(static_cast<u8>(vector));
    cpu_.recheck_interrupts();
}

bool LocalApic::accepts_pic() const {
    if (!enabled()) return true;
    u32 lvt = lvt_[kLint0];
    return !(lvt & kMasked) && (lvt >> 8 & 7) == static_cast<u32>(ApicDelivery::kExtInt);
}
void LocalApic::nmi_from_lint1() {
    if (!(lvt_[kLint1] & kMasked) && (lvt_[kLint1] >> 8 & 7) == static_cast<u32>(ApicDelivery::kNmi))
        cpu_.post_nmi();
}

void LocalApic::send_ipi(u32 low, u32 destination) {
    ApicMessage message;
    message.destination = destination;
    message.logical = low & 1 << 11;
    message.delivery = static_cast<ApicDelivery>(low >> 8 & 7);
    message.vector = static_cast<u8>(low);
    message.asserted = low & 1 << 14;
    message.level_triggered = low & 1 << 15;
    if (message.delivery == ApicDelivery::kInit && message.level_triggered && !message.asserted)
        return;  // INIT level de-assert
    if ((message.delivery == ApicDelivery::kFixed || message.delivery == ApicDelivery::kLowestPriority) &&
        message.vector < kFirstVector) {
        note_error(kSendIllegalVector);
        return;
    }
    message.level_triggered = false;
    switch (low >> 18 & 3) {
        case 0: sink_.deliver(message); break;
        case 1: post(message.vector, false); break;
        case 2:
            message.destination = ~0u;
            message.logical = false;
            sink_.deliver(message);
            break;
        default:
            for (u32 other = 0; other < cpu_.vcpu_count; ++other) {
                if (other == id_) continue;
                message.destination = other;
                message.logical = false;
                sink_.deliver(message);
            }
    }
}

u64 LocalApic::tsc_deadline() const { return (lvt_[kTimer] >> 17 & 3) == 2 ? tsc_deadline_ : 0; }

void LocalApic::set_tsc_deadline(u64 tsc) {
    if ((lvt_[kTimer] >> 17 & 3) != 2) return;
    tsc_deadline_ = tsc;
    if (tsc == 0) {
        timer_deadline_ = kNever;
        return;
    }
    u64 now_tsc = cpu_.read_tsc();
    if (tsc <= now_tsc) {  // already past
        tsc_deadline_ = 0;
        timer_deadline_ = kNever;
        cpu_.timer_changed();
        fire_lvt(lvt_[kTimer]);
        return;
    }
    u64 ticks = tsc - now_tsc;
    u64 ns = static_cast<u64>((static_cast<u128>(ticks) * 1'000'000'000 + cpu_.model.tsc_hz - 1) /
                              cpu_.model.tsc_hz);
    timer_deadline_ = cpu_.now() + ns;
    cpu_.timer_changed();
}

unsigned LocalApic::divider() const {
    unsigned code = (divide_ & 3) | (divide_ >> 1 & 4);
    return code == 7 ? 1 : 2u << code;
}
void LocalApic::start_timer(u32 count) {
    initial_count_ = count;
    if (count == 0 || (lvt_[kTimer] >> 17 & 3) == 2) {
        timer_deadline_ = kNever;
        return;
    }
    timer_start_ = cpu_.now();
    timer_deadline_ =
        timer_start_ + static_cast<u64>(count) * divider();  // the bus runs at one tick a nanosecond
    cpu_.timer_changed();
}
u32 LocalApic::current_count() const {
    if (timer_deadline_ == kNever || (lvt_[kTimer] >> 17 & 3) == 2) return 0;
    GuestNs now = cpu_.now();
    return now >= timer_deadline_ ? 0 : static_cast<u32>((timer_deadline_ - now) / divider());
}
void LocalApic::run_timer(GuestNs now) {
    if (now < timer_deadline_) return;
    switch (lvt_[kTimer] >> 17 & 3) {
        case 1: {  // periodic: stay on the grid, skip what was missed
            u64 period = static_cast<u64>(initial_count_) * divider();
            u64 missed = (now - timer_deadline_) / period;
            if (period >= kShortestMadeUpPeriod) missed_ticks_ += missed;
            timer_deadline_ += (missed + 1) * period;
            break;
        }
        case 2: tsc_deadline_ = 0; [[fallthrough]];
        default: timer_deadline_ = kNever;
    }
    cpu_.timer_changed();
    fire_lvt(lvt_[kTimer]);
}
void LocalApic::tick_again() {
    if ((lvt_[kTimer] >> 17 & 3) == 1 && initial_count_) fire_lvt(lvt_[kTimer]);
}
void LocalApic::fire_lvt(u32 lvt) {
    if (lvt & kMasked) return;
    if ((lvt & 0xFF) < kFirstVector)
        note_error(kReceiveIllegalVector);
    else
        post(static_cast<u8>(lvt), false);
}
/// SDM 3A 11.5.3: an error interrupts once until the next write to ESR.
void LocalApic::note_error(u32 bit) {
    const bool armed = !esr_pending_;
    esr_pending_ |= bit;
    if (armed) fire_lvt(lvt_[kError]);
}

u32 LocalApic::read_register(u32 number) const {
    if (number >= kIsr && number < kIsr + 8) return isr_[number - kIsr];
    if (number >= kTmr && number < kTmr + 8) {
        collect_posted();
        return tmr_[number - kTmr];
    }
    if (number >= kIrr && number < kIrr + 8) {
        collect_posted();
        return irr_[number - kIrr];
    }
    if (number >= kLvtTimer && number <= kLvtLast) return lvt_[number - kLvtTimer + 1];
    switch (number) {
        case kId: return x2apic() ? id_ : id_ << 24;
        case kVersion: return kVersionValue;
        case kTpr: return tpr_;
        case kPpr: return processor_priority();
        case kLdr: return ldr_.load(std::memory_order_relaxed);
        case kDfr: return dfr_.load(std::memory_order_relaxed);
        case kSvr: return svr_.load(std::memory_order_relaxed);
        case kEsr: return esr_;
        case kLvtCmci: return lvt_[kCmci];
        case kIcrLow: return static_cast<u32>(icr_);
        case kIcrHigh: return static_cast<u32>(icr_ >> 32);
        case kInitialCount: return initial_count_;
        case kCurrentCount: return current_count();
        case kDivide: return divide_;
        default: return 0;
    }
}

bool LocalApic::write_register(u32 number, u32 value) {
    if (number >= kLvtTimer && number <= kLvtLast) {
        static constexpr u32 kWritable[] = {0x710FF, 0x117FF, 0x117FF, 0x1F7FF, 0x1F7FF, 0x110FF};
        u32 old = lvt_[number - kLvtTimer + 1];
        u32& lvt = lvt_[number - kLvtTimer + 1];
        lvt = value & kWritable[number - kLvtTimer];
        if (!software_enabled()) lvt |= kMasked;
        if (number == kLvtTimer && ((old ^ lvt) >> 17 & 3)) {
            timer_deadline_ = kNever;
            tsc_deadline_ = 0;
        }
        return true;
    }
    switch (number) {
        case kTpr:
            tpr_ = value & 0xFF;
            cpu_.recheck_interrupts();
            return true;
        case kEoi: end_of_interrupt(); return true;
        case kLdr:
            if (!x2apic()) ldr_ = value & 0xFF000000;
            return !x2apic();
        case kDfr:
            if (!x2apic()) dfr_ = value | 0x0FFFFFFF;
            return !x2apic();
        case kSvr:
            svr_ = value & 0x11FF;
            if (!(value & 0x100))
                for (u32& lvt : lvt_) lvt |= kMasked;
            return true;
        case kEsr:
            esr_ = esr_pending_;
            esr_pending_ = 0;
            return true;
        case kLvtCmci: lvt_[kCmci] = value & kLvtCmciWritable; return true;
        case kIcrLow:
            icr_ = (icr_ & 0xFFFFFFFF00000000) | (value & ~(1u << 12));
            send_ipi(value, static_cast<u32>(icr_ >> 56));
            return true;
        case kIcrHigh: icr_ = (icr_ & 0xFFFFFFFF) | static_cast<u64>(value) << 32; return true;
        case kInitialCount: start_timer(value); return true;
        case kDivide: divide_ = value & 0xB; return true;
        default: return false;
    }
}

bool LocalApic::read_x2apic(u32 msr, u64& value) {
    u32 number = msr - 0x800;
    if (!x2apic() || number == kEoi || number == kSelfIpi || number == kDfr || number == kIcrHigh)
        return false;
    if (number == kIcrLow)
        value = icr_;
    else
        value = read_register(number);
    bool known = number == kId || number == kVersion || number == kTpr || number == kPpr || number == kLdr ||
                 number == kSvr || (number >= kIsr && number <= kEsr) || number == kIcrLow ||
                 (number >= kLvtCmci && number <= kCurrentCount) || number == kDivide;
    return known;
}
bool LocalApic::write_x2apic(u32 msr, u64 value) {
    u32 number = msr - 0x800;
    if (!x2apic()) return false;
    if (number == kIcrLow) {
        icr_ = value;
        send_ipi(static_cast<u32>(value), static_cast<u32>(value >> 32));
        return true;
    }
    if (value >> 32) return false;
    if (number == kSelfIpi) {
        if (value > 0xFF) return false;
        if (value < kFirstVector)
            note_error(kSendIllegalVector);
        else
            post(static_cast<u8>(value), false);
        return true;
    }
    constexpr u32 kDelivering = 1 << 12;  // read-only
    if (number == kLvtCmci && (value & ~u64{kLvtCmciWritable | kDelivering})) return false;
    if ((number == kEoi || number == kEsr) && value != 0) return false;
    if (number == kId || number == kVersion || number == kLdr || number == kDfr || number == kIcrHigh ||
        number == kPpr)
        return false;
    return write_register(number, static_cast<u32>(value));
}

u32 LocalApic::mmio_read(u32 offset) {
    if (x2apic()) return ~0u;  // the page is not there
    if (offset & 15) return 0;
    return read_register(offset / 16);
}
void LocalApic::mmio_write(u32 offset, u32 value) {
    if (x2apic() || (offset & 15)) return;
    if (offset / 16 == kSelfIpi || !write_register(offset / 16, value))
        guest_oddity("lapic-write", fmt::format("write to APIC register {:#x}", offset));
}

void LocalApic::serialize(Archive& archive) {
    archive.section("lapic", 1);
    auto atomic = [&archive](auto& cell) {
        auto value = cell.load();
        archive(value);
        cell = value;
    };
    atomic(base_), atomic(svr_), atomic(ldr_), atomic(dfr_), atomic(init_), atomic(sipi_);
    for (auto& word : posted_) atomic(word);
    for (auto& word : posted_level_) atomic(word);
    archive(tpr_, irr_, tmr_, isr_, esr_, esr_pending_, icr_, lvt_, initial_count_, divide_, tsc_deadline_,
            timer_start_, timer_deadline_);
}

void LocalApic::inspect(Inspector& inspector) const {
    inspector.hex("base", base());
    inspector.field("id", id_);
    inspector.field("mode", !enabled() ? "disabled" : x2apic() ? "x2APIC" : "xAPIC");
    inspector.hex("TPR", static_cast<u8>(tpr_));
    inspector.hex("SVR", svr_.load());
    inspector.hex("ICR", icr_);
    static constexpr const char* kNames[] = {"LVT CMCI",  "LVT timer", "LVT thermal", "LVT performance",
                                             "LVT LINT0", "LVT LINT1", "LVT error"};
    for (unsigned i = 0; i < 7; ++i) inspector.hex(kNames[i], lvt_[i]);
    inspector.field("highest IRR", highest(irr_));
    inspector.field("highest ISR", highest(isr_));
    inspector.field("timer deadline (ns)",
                    timer_deadline_ == kNever ? std::string("none") : fmt::format("{}", timer_deadline_));
}

}  // namespace shadowbox
