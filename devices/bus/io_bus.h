// SPDX-License-Identifier: MIT
// The range router between MachineBus and devices, one for ports and one for MMIO. Rejects overlapping
// ranges; splits accesses that a handler does not take whole; unclaimed addresses read as all ones. Does not
// know any device. Guarded by the VM's device lock.
#pragma once

#include <map>
#include <string>

#include "devices/bus/device.h"
#include "mmu/page_types.h"

namespace shadowbox {

/// Maps [first, first+count) of ports to handlers.
class PortBus {
 public:
    /// False if the range is empty, leaves the 64 Ki ports or overlaps another one. `name` is for views.
    bool add(u16 first, u32 count, PortHandler& handler, std::string name);
    void remove(u16 first);
    u32 read(u16 port, unsigned size);
    void write(u16 port, unsigned size, u32 value);
    u32 read_run(u16 port, unsigned size, std::span<u8> to);
    u32 write_run(u16 port, unsigned size, std::span<const u8> from);
    /// Accesses that nobody answered since start.
    u64 unclaimed() const { return unclaimed_; }
    void inspect(Inspector& inspector) const;

 private:
    struct Range {
        u32 count;
        PortHandler* handler;
        std::string name;
    };
    const std::pair<const u16, Range>* find(u16 port) const;
    /// Bytes of an access at `port` that one call of the range's handler takes.
    static unsigned piece(const std::pair<const u16, Range>& range, u16 port, unsigned size);
    std::map<u16, Range> ranges_;
    u64 unclaimed_ = 0;
};

/// The same for guest-physical ranges. Later (higher priority) ranges may not overlap earlier ones either.
class MmioBus {
 public:
    bool add(Gpa first, u64 size, MmioHandler& handler, std::string name);
    void remove(Gpa first);
    u64 read(Gpa where, unsigned size);
    void write(Gpa where, unsigned size, u64 value);
    u64 unclaimed() const { return unclaimed_; }
    void inspect(Inspector& inspector) const;

 private:
    struct Range {
        u64 size;
        MmioHandler* handler;
        std::string name;
    };
    const std::pair<const Gpa, Range>* find(Gpa where) const;
    static unsigned piece(const std::pair<const Gpa, Range>& range, Gpa where, unsigned size);
    std::map<Gpa, Range> ranges_;
    u64 unclaimed_ = 0;
};

}  // namespace shadowbox
