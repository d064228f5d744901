// SPDX-License-Identifier: MIT
// Range lookup and access splitting of the port and MMIO buses.
#include "devices/bus/io_bus.h"

#include "core/log.h"
#include "devices/bus/layout.h"

namespace shadowbox {

namespace {

constexpr u64 ones(unsigned size) { return size >= 8 ? ~u64{0} : (u64{1} << (size * 8)) - 1; }

/// The largest power of two that is no larger than `room`, `widest` and `size`.
unsigned fitting_piece(u64 room, unsigned widest, unsigned size) {
    unsigned piece = size;
    while (piece > 1 && (piece > room || piece > widest)) piece /= 2;
    return piece;
}

/// Largest power of two <= size: what is left of a split access may be 3 bytes, say.
unsigned power_of_two_below(unsigned size) {
    unsigned power = 1;
    while (power * 2 <= size) power *= 2;
    return power;
}

/// Where firmware and every system look for devices that this board does not have: serial and parallel ports.
constexpr layout::PortRange kLookedFor[] = {{0x278, 3}, {0x2E8, 8}, {0x2F8, 8}, {0x378, 3},
                                            {0x3BC, 3}, {0x3E8, 8}, {0x3F8, 8}};

void tell_unclaimed(const char* what, u16 port) {
    for (layout::PortRange range : kLookedFor)
        if (port >= range.first && port - range.first < static_cast<int>(range.count))
            return guest_habit("unclaimed-port");
    guest_oddity("unclaimed-port", fmt::format("{} port 0x{:x}, nobody there", what, port));
}

}  // namespace

bool PortBus::add(u16 first, u32 count, PortHandler& handler, std::string name) {
    if (count == 0 || first + count > 0x10000) return false;
    auto next = ranges_.lower_bound(first);
    if (next != ranges_.end() && next->first < first + count) return false;
    if (next != ranges_.begin()) {
        auto previous = std::prev(next);
        if (previous->first + previous->second.count > first) return false;
    }
    ranges_.emplace(first, Range{count, &handler, std::move(name)});
    return true;
}

void PortBus::remove(u16 first) { ranges_.erase(first); }

const std::pair<const u16, PortBus::Range>* PortBus::find(u16 port) const {
    auto above = ranges_.upper_bound(port);
    if (above == ranges_.begin()) return nullptr;
    auto candidate = std::prev(above);
    return port < candidate->first + candidate->second.count ? &*candidate : nullptr;
}

unsigned PortBus::piece(const std::pair<const u16, Range>& range, u16 port, unsigned size) {
    u32 room = range.first + range.second.count - port;
    return fitting_piece(room, range.second.handler->widest_port_access(), size);
}

u32 PortBus::read(u16 port, unsigned size) {
    u64 value = 0;
    for (unsigned done = 0; done < size;) {
        unsigned left = power_of_two_below(size - done);
        u16 at = static_cast<u16>(port + done);
        const auto* range = find(at);
        unsigned part = range ? piece(*range, at, left) : 1;
        u64 bits = ones(part);
        if (range) {
            bits &= range->second.handler->port_read(static_cast<u16>(at - range->first), part);
        } else if (done == 0) {
            ++unclaimed_;
            tell_unclaimed("read of", at);
        }
        value |= bits << (done * 8);
        done += part;
    }
    return static_cast<u32>(value);
}

void PortBus::write(u16 port, unsigned size, u32 value) {
    for (unsigned done = 0; done < size;) {
        unsigned left = power_of_two_below(size - done);
        u16 at = static_cast<u16>(port + done);
        const auto* range = find(at);
        unsigned part = range ? piece(*range, at, left) : 1;
        if (range) {
            u32 bits = static_cast<u32>((u64{value} >> (done * 8)) & ones(part));
            range->second.handler->port_write(static_cast<u16>(at - range->first), part, bits);
        } else if (done == 0) {
            ++unclaimed_;
            tell_unclaimed("write to", at);
        }
        done += part;
    }
}

u32 PortBus::read_run(u16 port, unsigned size, std::span<u8> to) {
    const auto* range = find(port);
    if (!range || piece(*range, port, size) != size) return 0;
    return range->second.handler->port_read_run(static_cast<u16>(port - range->first), size, to);
}

u32 PortBus::write_run(u16 port, unsigned size, std::span<const u8> from) {
    const auto* range = find(port);
    if (!range || piece(*range, port, size) != size) return 0;
    return range->second.handler->port_write_run(static_cast<u16>(port - range->first), size, from);
}

void PortBus::inspect(Inspector& inspector) const {
    for (const auto& [first, range] : ranges_)
        inspector.text(fmt::format("{:04x}-{:04x}", first, first + range.count - 1), range.name);
    inspector.field("unclaimed accesses", unclaimed_);
}

bool MmioBus::add(Gpa first, u64 size, MmioHandler& handler, std::string name) {
    if (size == 0 || first.value + size < first.value) return false;
    auto next = ranges_.lower_bound(first);
    if (next != ranges_.end() && next->first < first + size) return false;
    if (next != ranges_.begin()) {
        auto previous = std::prev(next);
        if (previous->first + previous->second.size > first) return false;
    }
    ranges_.emplace(first, Range{size, &handler, std::move(name)});
    return true;
}

void MmioBus::remove(Gpa first) { ranges_.erase(first); }

const std::pair<const Gpa, MmioBus::Range>* MmioBus::find(Gpa where) const {
    auto above = ranges_.upper_bound(where);
    if (above == ranges_.begin()) return nullptr;
    auto candidate = std::prev(above);
    return where - candidate->first < candidate->second.size ? &*candidate : nullptr;
}

unsigned MmioBus::piece(const std::pair<const Gpa, Range>& range, Gpa where, unsigned size) {
    u64 room = range.second.size - (where - range.first);
    return fitting_piece(room, range.second.handler->widest_mmio_access(), size);
}

u64 MmioBus::read(Gpa where, unsigned size) {
    u64 value = 0;
    for (unsigned done = 0; done < size;) {
        unsigned left = power_of_two_below(size - done);
        Gpa at = where + done;
        const auto* range = find(at);
        unsigned part = range ? piece(*range, at, left) : 1;
        u64 bits = ones(part);
        if (range) {
            bits &= range->second.handler->mmio_read(at - range->first, part);
        } else if (done == 0) {
            ++unclaimed_;
        }
        value |= bits << (done * 8);
        done += part;
    }
    return value;
}

void MmioBus::write(Gpa where, unsigned size, u64 value) {
    for (unsigned done = 0; done < size;) {
        unsigned left = power_of_two_below(size - done);
        Gpa at = where + done;
        const auto* range = find(at);
        unsigned part = range ? piece(*range, at, left) : 1;
        if (range) {
            range->second.handler->mmio_write(at - range->first, part, (value >> (done * 8)) & ones(part));
        } else if (done == 0) {
            ++unclaimed_;
        }
        done += part;
    }
}

void MmioBus::inspect(Inspector& inspector) const {
    for (const auto& [first, range] : ranges_)
        inspector.text(fmt::format("{:010x}-{:010x}", first.value, first.value + range.size - 1), range.name);
    inspector.field("unclaimed accesses", unclaimed_);
}

}  // namespace shadowbox
