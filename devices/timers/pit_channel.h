// SPDX-License-Identifier: MIT
// One counter of an 8254, as arithmetic: every value follows from the tick at which it was loaded, so that
// nothing has to run while nobody looks. Used by Pit8254; knows no interrupts and no nanoseconds.
// 8254 data sheet (Intel 231164), "mode definitions".
//
//   elapsed = tick - start          tick: CLK pulses since power-on
//   OUT and count = f(mode, reload, elapsed)
#pragma once

#include "core/archive.h"
#include "core/inspect.h"
#include "core/integers.h"

namespace shadowbox {

class PitChannel {
 public:
    static constexpr u64 kNoEdge = ~u64{0};

    void reset(bool gate);
    /// Control word with an access field that is not "latch".
    void set_control(unsigned mode, unsigned access, bool bcd);
    void write(u64 tick, u8 value);
    u8 read(u64 tick);
    void latch_count(u64 tick);
    void latch_status(u64 tick);
    void set_gate(u64 tick, bool level);
    bool gate() const { return state_.gate; }
    /// Level of OUT during the clock `tick`.
    bool output(u64 tick);
    /// The first tick after `tick` at which OUT goes from low to high, if nothing is written meanwhile.
    u64 next_rising_edge(u64 tick);
    /// Clocks per period in modes 2 and 3, 0 if OUT does not oscillate. For views and sound.
    u32 period() const;
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

 private:
    u64 modulus() const { return state_.bcd ? 10000 : 65536; }
    bool oscillates() const { return state_.mode == 2 || state_.mode == 3; }
    bool retriggerable() const { return state_.mode == 1 || state_.mode == 5; }
    u64 elapsed(u64 tick) const;
    u64 count(u64 tick) const;
    bool output_now(u64 tick) const;
    void load(u64 tick, u32 value);
    void settle(u64 tick);
    u64 next_switch(u64 tick) const;
    u16 encoded_count(u64 tick);

    struct State {
        u8 mode, access;  // access: 1 low byte, 2 high byte, 3 both
        bool bcd, gate;
        bool loaded;  // counting: a complete count was written and, in modes 1 and 5, triggered
        bool frozen;  // gate low in modes 0, 2, 3, 4
        u32 reload;   // 1..65536, or 1..10000 in BCD
        u64 start;    // tick at which the counting element took `reload`
        u64 frozen_elapsed;
        bool pending;  // `next_reload` waits for the end of the period or for a trigger
        u32 next_reload;
        u64 switch_tick;
        bool write_high_next, read_high_next;
        u8 write_low;
        bool count_latched, latch_high_next, status_latched;
        u16 latched_count;
        u8 latched_status;
    } state_{};
};

}  // namespace shadowbox
