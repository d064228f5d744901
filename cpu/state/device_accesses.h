// SPDX-License-Identifier: MIT
// What the instruction at hand has done to devices. Reading a port or MMIO takes the vCPU outside guest code,
// so a page that was there before may be away when the instruction goes on to store what it read (INS, MOVS,
// PUSH, CALL, a load that crosses pages). It then waits for the page and starts again; what it read it must
// not read again, since reading is an effect: a drive's data port gives the next word. So such an instruction
// runs alone (Vcpu::step_one), its accesses are kept while it waits, and given back in order when it starts
// again. No interrupt comes in between.
#pragma once

#include <vector>

#include "core/integers.h"

namespace shadowbox {

class DeviceAccesses {
 public:
    /// The instruction at `rip` starts, perhaps again.
    void begin(u64 rip) {
        if (!held_ || rip != rip_) values_.clear();
        rip_ = rip;
        next_ = 0;
        held_ = false;
    }
    /// It ended, or waits and will start again.
    void end(bool starts_again) {
        held_ = starts_again && !values_.empty();
        if (!held_) values_.clear();
    }
    /// `access` is done at most once for the instruction. Returns its value, or that of the first time.
    template <class Access>
    u64 once(Access access) {
        if (next_ == values_.size()) values_.push_back(access());
        return values_[next_++];
    }
    /// An instruction waits that must be the next one to run.
    bool held() const { return held_; }
    void clear() {
        values_.clear();
        held_ = false;
    }

 private:
    std::vector<u64> values_;
    std::size_t next_ = 0;
    u64 rip_ = 0;
    bool held_ = false;
};

}  // namespace shadowbox
