// SPDX-License-Identifier: MIT
// The page walk on random tables and control registers: translation, error code and accessed/dirty bits as
// the reference walk has them. peek_translation() agrees about the place and changes nothing.
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "mmu/guest_memory.h"
#include "mmu/page_walk.h"
#include "mmu/zero_fill_pager.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/reference_walk.h"

namespace shadowbox::fuzz {

namespace {

constexpr u64 kPages = 16, kBytes = kPages * kPageSize;

struct Ram {
    std::unique_ptr<MachinePool> pool = std::move(*MachinePool::create(1024, 2048));
    ZeroFillPager pager;
    GuestMemory memory{*pool, pager, VmId(1)};
    Ram() { memory.map_ram(Ppn(0), kPages); }
};

PagingControl choose_control(Input& in) {
    PagingControl c;
    u8 a = in.byte(), b = in.byte();
    c.cr0 = 0x11 | (a & 0x3F ? u64{1} << 31 : 0) | (b & 1 ? 1 << 16 : 0);
    unsigned kind = a & 3;  // 32-bit, PAE, 4-level, 5-level
    if (kind) c.cr4 |= 1 << 5;
    if (kind >= 2) c.efer |= 1 << 10 | 1 << 8;
    if (kind == 3) c.cr4 |= 1 << 12;
    if (b & 2) c.cr4 |= 1 << 4;
    if (b & 4) c.cr4 |= 1 << 7;
    if (b & 8) c.cr4 |= 1 << 20;
    if (b & 16) c.cr4 |= 1 << 21;
    if (b & 32) c.cr4 |= 1 << 22;
    if (b & 64) c.efer |= 1 << 11;
    c.cr3 = in.below(kPages) << 12 | (in.byte() & 0x18);
    c.pkru = static_cast<u32>(in.number(4));
    for (u64& pdpte : c.pdpte) pdpte = in.below(kPages) << 12 | (in.byte() & 1);
    return c;
}

/// Entries in all tables: mostly present and pointing at another table, now and then anything.
void fill_tables(Input& in, std::vector<u8>& bytes, unsigned size) {
    u8 pattern[32];
    for (u8& p : pattern) p = in.byte();
    for (u64 at = 0; at < bytes.size(); at += size) {
        u64 mixed = (at / size + pattern[at / size % 32]) * 0x9E3779B97F4A7C15;
        u8 choice = pattern[(mixed >> 40) % 32];
        u64 entry = (mixed >> 20) % (kPages + 1) << 12 | 7;
        if (choice & 1) entry |= 0x80;
        if ((choice & 6) == 6) entry &= ~u64{static_cast<u8>(mixed >> 33 & 7)};
        if ((choice & 24) == 24) entry |= u64{1} << (mixed >> 50 & 63);
        if (choice & 32) entry ^= mixed & 0x7000000000000100;  // key and global
        if ((choice & 192) == 192) entry &= ~u64{0x1FF000};    // large pages need a low address of zeros
        memcpy(bytes.data() + at, &entry, size);
    }
    for (unsigned edits = 0; edits < 32 && !in.empty(); ++edits) {
        u64 where = in.below(kBytes / size) * size, entry = in.number(size);
        memcpy(bytes.data() + where, &entry, size);
    }
}

}  // namespace

void fuzz_page_walk(std::span<const u8> input) {
    static Ram* ram = new Ram;
    Input in(input);
    PagingControl control = choose_control(in);
    WalkAccess access;
    u8 kind = in.byte();
    access.write = kind & 1, access.execute = (kind & 2) && !access.write, access.user = kind & 4,
    access.explicit_ac = (kind & 8) && !access.user;
    u64 gva = in.number(8);
    bool long_mode = control.efer & 1 << 10;
    if (!long_mode)
        gva &= 0xFFFFFFFF;
    else if (!is_canonical(gva, control.cr4))
        gva = static_cast<u64>(static_cast<i64>(gva << 16) >> 16);
    std::vector<u8> bytes(kBytes), before, after(kBytes);
    fill_tables(in, bytes, control.cr4 & 1 << 5 ? 8 : 4);
    before = bytes;
    ram->memory.write(Gpa(0), bytes);
    WalkResult peeked = peek_translation(control, ram->memory, Gva(gva));
    ram->memory.read(Gpa(0), after);
    FUZZ_CHECK(after == before, "a viewer's walk changed memory");
    WalkResult walked = walk_page_tables(control, ram->memory, Gva(gva), access);
    ReferenceResult expected = reference_walk(control, bytes, gva, access);
    ram->memory.read(Gpa(0), after);
    std::string what =
        fmt::format("cr0 {:x} cr3 {:x} cr4 {:x} efer {:x} pkru {:x} gva {:x} access {:x}", control.cr0,
                    control.cr3, control.cr4, control.efer, control.pkru, gva, kind);
    FUZZ_CHECK(after == bytes, "accessed or dirty bits differ: {}", what);
    if (expected.fault) {
        FUZZ_CHECK(!walked && !walked.error().wait, "a translation where the reference faults with {:x}: {}",
                   *expected.fault, what);
        FUZZ_CHECK(walked.error().error_code == *expected.fault, "error code {:x}, reference {:x}: {}",
                   walked.error().error_code, *expected.fault, what);
        return;
    }
    FUZZ_CHECK(walked.has_value(), "a fault {:x} where the reference translates: {}",
               walked.error().error_code, what);
    const Translation& t = *walked;
    FUZZ_CHECK(t.ppn.value == expected.gpa >> 12 && t.page_shift == expected.page_shift,
               "page {:x} size {}, reference {:x} size {}: {}", t.ppn.value, t.page_shift, expected.gpa >> 12,
               expected.page_shift, what);
    FUZZ_CHECK(t.writable == expected.writable && t.user == expected.user &&
                   t.executable == expected.executable && t.global == expected.global &&
                   t.protection_key == expected.key,
               "rights differ: {}", what);
    FUZZ_CHECK(peeked && peeked->ppn == t.ppn, "a viewer sees another page: {}", what);
}

}  // namespace shadowbox::fuzz
