// SPDX-License-Identifier: MIT
// vCPUs without a machine around them, for tests of what connects vCPUs. No test cases here.
#pragma once

#include <memory>
#include <vector>

#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"
#include "mmu/zero_fill_pager.h"
#include "vmm/machine/apic_fabric.h"

namespace shadowbox::test {

struct BareMachine : MachineBus, EoiListener, GuestClock {
    std::unique_ptr<MachinePool> pool = std::move(*MachinePool::create(1024, 4096));
    ZeroFillPager pager;
    GuestMemory memory{*pool, pager, VmId(1)};
    ApicFabric fabric;
    std::vector<std::unique_ptr<Vcpu>> cpus;
    std::vector<u8> ended;

    explicit BareMachine(unsigned count) {
        memory.map_ram(Ppn(0), 256);
        for (unsigned i = 0; i < count; ++i) {
            cpus.push_back(std::make_unique<Vcpu>(i, memory, *this, fabric, *this, cpu_model_v2()));
            cpus.back()->vcpu_count = count;
            cpus.back()->alone = true;
            fabric.add(*cpus.back());
        }
    }
    Vcpu& cpu(unsigned i) { return *cpus[i]; }
    LocalApic& apic(unsigned i) { return *cpus[i]->apic; }

    u32 port_read(u16, unsigned) override { return ~0u; }
    void port_write(u16, unsigned, u32) override {}
    u64 mmio_read(Gpa, unsigned) override { return ~u64{0}; }
    void mmio_write(Gpa, unsigned, u64) override {}
    u8 acknowledge_pic() override { return 7; }
    void run_exclusive(std::function<void()> work) override { work(); }
    const GuestClock& clock() const override { return *this; }
    GuestNs now() const override { return 0; }
    u64 wall_base_seconds() const override { return 0; }
    void end_of_interrupt(u8 vector) override { ended.push_back(vector); }
};

}  // namespace shadowbox::test
