// SPDX-License-Identifier: MIT
// What most mmu tests need: a pool, a zero-fill pager, one guest with RAM, one vCPU's MMU.
#pragma once

#include <catch2/catch.hpp>
#include <memory>

#include "mmu/guest_access.h"
#include "mmu/vcpu_mmu.h"
#include "mmu/zero_fill_pager.h"

namespace shadowbox {

struct Guest {
    Guest(MachinePool& pool, Pager& pager, u64 vm, u64 pages) : memory(pool, pager, VmId(vm)) {
        memory.map_ram(Ppn(0), pages);
    }
    GuestMemory memory;
    u64 load(u64 gpa) {
        u64 value = 0;
        memory.read(Gpa(gpa), std::span(reinterpret_cast<u8*>(&value), 8));
        return value;
    }
    void store(u64 gpa, u64 value, unsigned size = 8) {
        memory.write(Gpa(gpa), std::span(reinterpret_cast<const u8*>(&value), size));
    }
    PmapEntry entry(u64 ppn) { return memory.pmap().load(Ppn(ppn)); }
};

struct Machine {
    explicit Machine(u64 pages = 4096, u64 capacity = 8192)
        : pool(std::move(*MachinePool::create(capacity, capacity * 2))),
          guest(*pool, pager, 1, pages),
          mmu(guest.memory) {}
    std::unique_ptr<MachinePool> pool;
    ZeroFillPager pager;
    Guest guest;
    VcpuMmu mmu;

    Resolved resolve(u64 gva, MemoryAccess access, unsigned size = 8) {
        return mmu.resolve(Gva(gva), size, access);
    }
    /// As a vCPU does it: probe, slow path, wait and restart.
    Resolved access(u64 gva, MemoryAccess access) {
        for (;;) {
            Resolved result = mmu.resolve(Gva(gva), 8, access);
            if (result.kind != Resolved::Kind::kWait) return result;
            mmu.wait_for_page();
        }
    }
    u64 load(u64 gva) {
        if (const u8* host = mmu.context()->probe_read(gva, 8)) return guest_load<u64>(host);
        Resolved result = access(gva, MemoryAccess::kRead);
        REQUIRE(result.kind == Resolved::Kind::kHost);
        return guest_load<u64>(result.host);
    }
    void store(u64 gva, u64 value) {
        if (u8* host = mmu.context()->probe_write(gva, 8)) return guest_store(host, value);
        Resolved result = access(gva, MemoryAccess::kWrite);
        REQUIRE(result.kind == Resolved::Kind::kHost);
        guest_store(result.host, value);
    }

    // 4-level paging: tables from 0x100000 on.
    static constexpr u64 kRoot = 0x100000;
    static constexpr u64 kP = 1, kW = 2, kU = 4, kA = 0x20, kD = 0x40, kPs = 0x80, kG = 0x100,
                         kNx = u64{1} << 63;
    u64 next_table = kRoot + 0x1000;
    void long_mode(u64 more_cr4 = 0, u64 more_cr0 = 0) {
        mmu.set_control(0x80000011 | more_cr0, 0x20 | more_cr4, 0xD00);  // PG, PE; PAE; LME, LMA, NXE
        mmu.set_cr3(kRoot, false);
    }
    /// The guest-physical place of the entry that maps `gva` at `shift`, making tables on the way with all
    /// rights.
    u64 entry_place(u64 gva, unsigned shift, u64 root = kRoot, unsigned top = 39) {
        u64 table = root;
        for (unsigned s = top; s > shift; s -= 9) {
            u64 place = table + (gva >> s & 511) * 8;
            u64 entry = guest.load(place);
            if (!(entry & kP)) {
                entry = next_table | kP | kW | kU;
                next_table += 0x1000;
                guest.store(place, entry);
            }
            table = entry & 0xFFFFFFF000;
        }
        return table + (gva >> shift & 511) * 8;
    }
    void map(u64 gva, u64 gpa, u64 bits, unsigned shift = 12, u64 root = kRoot) {
        guest.store(entry_place(gva, shift, root), gpa | bits | (shift > 12 ? kPs : 0));
    }
};

}  // namespace shadowbox
