// SPDX-License-Identifier: MIT
// MachineBus: what a vCPU reaches. A vCPU that waits for the device lock counts as outside guest code, since
// a device that holds it may be waiting for a remap; no host pointer survives these calls.
#include "vmm/machine/board.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

u32 VirtualMachine::port_read(u16 port, unsigned size) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    return board_->ports.read(port, size);
}
void VirtualMachine::port_write(u16 port, unsigned size, u32 value) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    board_->ports.write(port, size, value);
}
/// Nothing is waited for, so the caller's host pointer stays good; a busy lock means: one by one, as above.
u32 VirtualMachine::port_read_run(u16 port, unsigned size, std::span<u8> to) {
    std::unique_lock lock(device_lock_, std::try_to_lock);
    return lock ? board_->ports.read_run(port, size, to) : 0;
}
u32 VirtualMachine::port_write_run(u16 port, unsigned size, std::span<const u8> from) {
    std::unique_lock lock(device_lock_, std::try_to_lock);
    return lock ? board_->ports.write_run(port, size, from) : 0;
}
u64 VirtualMachine::mmio_read(Gpa where, unsigned size) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    return board_->mmio.read(where, size);
}
void VirtualMachine::mmio_write(Gpa where, unsigned size, u64 value) {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    board_->mmio.write(where, size, value);
}
MemoryAnswer VirtualMachine::hold_pages(Gpa where) {
    if (where.value - layout::kVgaWindow.first >= layout::kVgaWindow.size || !config_.vga) return {};
    return board_->vga.hold_window();
}
u8 VirtualMachine::acknowledge_pic() {
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    return board_->pic.acknowledge();
}
/// Only the boot processor's pins are wired: the others must report x87 errors by #MF (MultiProcessor
/// Specification 1.4).
void VirtualMachine::x87_error(unsigned vcpu, bool asserted) {
    if (vcpu != 0) return;
    OutsideScope outside(SafepointDomain::current());
    std::lock_guard lock(device_lock_);
    board_->coprocessor_error.set_ferr(asserted);
}

}  // namespace shadowbox
