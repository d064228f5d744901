// SPDX-License-Identifier: MIT
// The page walk. First the tables are read and judged from the top down; only when the access is allowed are
// A and D set, from the top down again, each by compare-and-swap against the value that was judged. If one
// changed meanwhile, the walk starts again: a translation never mixes two states of the tables.
#include "mmu/page_walk.h"

#include "mmu/guest_memory.h"
#include "mmu/page_rights.h"

namespace shadowbox {

namespace {

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80;
constexpr u64 kGlobal = 0x100, kNoExecute = u64{1} << 63;

/// Bits first..last, inclusive.
constexpr u64 bits(unsigned first, unsigned last) {
    return (last == 63 ? ~u64{0} : (u64{1} << (last + 1)) - 1) & ~((u64{1} << first) - 1);
}
constexpr u64 kAddressBits = bits(12, kPhysicalBits - 1);

struct Step {
    Gpa where;
    u64 entry;
};

/// One walk under way.
struct Walk {
    const PagingControl& control;
    Gva gva;
    u32 access_bits;  // of the error code
    unsigned entry_size = 8;
    Step steps[5];
    unsigned count = 0;
    Translation result;

    tl::unexpected<WalkFailure> fault(u32 more) const {
        return tl::unexpected(WalkFailure{false, access_bits | more, false, Ppn()});
    }
    /// Takes the rights of one entry of the path.
    void narrow(u64 entry) {
        result.writable = result.writable && (entry & kWritable);
        result.user = result.user && (entry & kUser);
        result.executable = result.executable && !(entry & kNoExecute);
    }
    void finish(u64 entry, u64 frame, unsigned shift) {
        u64 inside = gva.value & bits(12, shift - 1) & ~kPageOffsetMask;
        result.ppn = Gpa(frame | (shift > 12 ? inside : 0)).ppn();
        result.page_shift = static_cast<u8>(shift);
        result.global = (entry & kGlobal) && (control.cr4 & cr::kPge);
        result.dirty = entry & kDirty;
    }
};

/// Reads for a vCPU's walk: may touch guest memory, may have to wait.
struct LiveSource {
    GuestMemory& memory;
    DeviceTables* devices;
    PageOutcome load(Gpa where, unsigned size, u64& value) {
        return memory.walk_load(where, size, value, devices);
    }
};

/// Reads for a viewer.
struct PeekSource {
    const GuestMemory& memory;
    PageOutcome load(Gpa where, unsigned size, u64& value) {
        value = 0;
        memory.peek(memory.apply_a20(where), std::span(reinterpret_cast<u8*>(&value), size));
        return PageOutcome::kReady;
    }
};

tl::unexpected<WalkFailure> waiting(PageOutcome outcome, Ppn ppn, PageAccess access = PageAccess::kRead) {
    return tl::unexpected(WalkFailure{true, 0, outcome == PageOutcome::kRefused, ppn, access});
}

using Descent = tl::expected<void, WalkFailure>;

/// 32-bit paging (SDM 3A 4.3): 4-byte entries, 4 MiB pages with CR4.PSE, whose bits 20:13 are address bits
/// 39:32.
template <class Source>
Descent descend_32(Walk& walk, Source& source) {
    walk.entry_size = 4;
    u64 table = walk.control.cr3 & bits(12, 31);
    for (unsigned shift = 22;; shift -= 10) {
        Step& step = walk.steps[walk.count++];
        step.where = Gpa(table + (walk.gva.value >> shift & 1023) * 4);
        PageOutcome outcome = source.load(step.where, 4, step.entry);
        if (outcome != PageOutcome::kReady) return waiting(outcome, step.where.ppn());
        u64 entry = step.entry;
        if (!(entry & kPresent)) return walk.fault(0);
        walk.narrow(entry);
        if (shift == 12) {
            walk.finish(entry, entry & bits(12, 31), 12);
            return {};
        }
        if ((entry & kLarge) && (walk.control.cr4 & cr::kPse)) {
            if (entry & bits(21, 21)) return walk.fault(kPfPresent | kPfReserved);
            walk.finish(entry, (entry & bits(22, 31)) | (entry & bits(13, 20)) << 19, 22);
            return {};
        }
        table = entry & bits(12, 31);
    }
}

/// Reserved bits of an 8-byte entry that maps or points below `shift` (SDM 3A 4.4.2, 4.5.4, figure 4-11).
u64 reserved_bits(const PagingControl& control, unsigned shift, u64 entry) {
    bool long_mode = control.efer & cr::kLma;
    u64 reserved = bits(kPhysicalBits, long_mode ? 51 : 62);
    if (!(control.efer & cr::kNxe)) reserved |= kNoExecute;
    if (shift >= 39) return reserved | kLarge;
    if (entry & kLarge) {
        if (shift == 30) reserved |= bits(13, 29);
        if (shift == 21) reserved |= bits(13, 20);
    }
    return reserved;
}

/// Levels of 512 8-byte entries from the one that covers `shift` bits on: all of 4- and 5-level paging, and
/// PAE below its page-directory-pointer table.
template <class Source>
Descent descend_64(Walk& walk, Source& source, u64 table, unsigned shift) {
    for (;; shift -= 9) {
        Step& step = walk.steps[walk.count++];
        step.where = Gpa(table + (walk.gva.value >> shift & 511) * 8);
        PageOutcome outcome = source.load(step.where, 8, step.entry);
        if (outcome != PageOutcome::kReady) return waiting(outcome, step.where.ppn());
        u64 entry = step.entry;
        if (!(entry & kPresent)) return walk.fault(0);
        if (entry & reserved_bits(walk.control, shift, entry)) return walk.fault(kPfPresent | kPfReserved);
        walk.narrow(entry);
        bool leaf = shift == 12 || ((entry & kLarge) && (shift == 21 || shift == 30));
        if (leaf) {
            walk.finish(entry, entry & kAddressBits & ~(bits(0, shift - 1)), shift);
            if (walk.control.efer & cr::kLma) walk.result.protection_key = entry >> 59 & 15;
            return {};
        }
        table = entry & kAddressBits;
    }
}

template <class Source>
Descent descend(Walk& walk, Source& source) {
    const PagingControl& control = walk.control;
    walk.count = 0;
    walk.result = Translation();
    walk.result.writable = walk.result.user = walk.result.executable = true;
    if (!(control.cr4 & cr::kPae)) return descend_32(walk, source);
    if (control.efer & cr::kLma) {
        return descend_64(walk, source, control.cr3 & kAddressBits, control.cr4 & cr::kLa57 ? 48 : 39);
    }
    // PAE: the four PDPTEs are registers, checked when they were loaded; they carry no rights (SDM 3A 4.4.1).
    u64 pointer = control.pdpte[walk.gva.value >> 30 & 3];
    if (!(pointer & kPresent)) return walk.fault(0);
    return descend_64(walk, source, pointer & kAddressBits, 21);
}

WalkResult identity(Gva gva) {
    Translation t;
    t.ppn = Gpa(gva.value & 0xFFFF'FFFF).ppn();
    t.writable = t.user = t.executable = t.dirty = true;
    return t;
}

enum class Marked { kDone, kAgain };

/// Sets A on the whole path and D in the leaf.
tl::expected<Marked, WalkFailure> mark_path(Walk& walk, GuestMemory& memory, bool write,
                                            DeviceTables* devices) {
    for (unsigned i = 0; i < walk.count; ++i) {
        const Step& step = walk.steps[i];
        u64 wanted = step.entry | kAccessed;
        if (write && i + 1 == walk.count) wanted |= kDirty;
        if (wanted == step.entry) continue;
        bool swapped = false;
        PageOutcome outcome =
            memory.walk_compare_exchange(step.where, walk.entry_size, step.entry, wanted, swapped, devices);
        if (outcome != PageOutcome::kReady)
            return waiting(outcome, memory.apply_a20(step.where).ppn(), PageAccess::kWrite);
        if (!swapped) return Marked::kAgain;
    }
    if (write) walk.result.dirty = true;
    return Marked::kDone;
}

}  // namespace

tl::expected<void, u32> check_rights(const PagingControl& control, const Translation& t, WalkAccess access) {
    if (access_allowed(control, t, access)) return {};
    u32 code = access_error_bits(control, access) | kPfPresent;
    // SDM 3A 4.7: PK is set when the key forbids the access, whatever else forbids it too.
    if (key_forbids(control, t, access)) code |= kPfKey;
    return tl::unexpected(code);
}

WalkResult walk_page_tables(const PagingControl& control, GuestMemory& memory, Gva gva, WalkAccess access,
                            DeviceTables* devices) {
    if (!(control.cr0 & cr::kPg)) return identity(gva);
    Walk walk{control, gva, access_error_bits(control, access)};
    LiveSource source{memory, devices};
    for (;;) {
        if (Descent down = descend(walk, source); !down) {
            if (down.error().wait)
                down.error().wait_ppn = memory.apply_a20(start_of(down.error().wait_ppn)).ppn();
            return tl::unexpected(down.error());
        }
        if (auto allowed = check_rights(control, walk.result, access); !allowed) {
            return tl::unexpected(WalkFailure{false, allowed.error(), false, Ppn()});
        }
        auto marked = mark_path(walk, memory, access.write, devices);
        if (!marked) return tl::unexpected(marked.error());
        if (*marked == Marked::kDone) return walk.result;
    }
}

WalkResult peek_translation(const PagingControl& control, GuestMemory& memory, Gva gva) {
    if (!(control.cr0 & cr::kPg)) return identity(gva);
    Walk walk{control, gva, 0};
    PeekSource source{memory};
    if (Descent down = descend(walk, source); !down) return tl::unexpected(down.error());
    return walk.result;
}

}  // namespace shadowbox
