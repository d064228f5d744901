// SPDX-License-Identifier: MIT
// PIRQ routing.
#include "devices/chipset/piix3_isa.h"

namespace shadowbox {

namespace {
constexpr u8 kPirqRoute = 0x60;  // four registers
constexpr u8 kRouteOff = 0x80;
constexpr u16 kRoutable = 0xDEF8;  // 3-7, 9-12, 14, 15
constexpr unsigned kNone = 16;
}  // namespace

Piix3Isa::Piix3Isa(IrqRouter& router)
    : PciDevice("piix3-isa", {.vendor = 0x8086,
                              .device = 0x7000,
                              .class_code = 0x060100,
                              .subsystem_vendor = 0x1AF4,
                              .subsystem = 0x1100}) {
    for (unsigned irq = 0; irq < isa_.size(); ++irq)
        if (kRoutable >> irq & 1) isa_[irq] = router.isa_line(irq);
    init_config(pci::kCommand, 2, 7, pci::kCommandSerr);
    init_config(pci::kStatus, 2, 0x0200);
    init_config(pci::kHeaderType, 1, pci::kHeaderMultifunction);
    for (unsigned offset = 0x40; offset < 0x100; ++offset) init_config(static_cast<u8>(offset), 1, 0, 0xFF);
    // Power-on values, 82371SB DS table 4.
    init_config(0x4C, 1, 0x4D, 0xFF);
    init_config(0x4E, 2, 0x0003, 0xFFFF);
    for (u8 pirq = 0; pirq < 4; ++pirq)
        init_config(static_cast<u8>(kPirqRoute + pirq), 1, kRouteOff, kRouteOff | 0x0F);
    init_config(0x69, 1, 0x02, 0xFF);
    init_config(0x70, 1, 0x80, 0xFF);
    init_config(0x76, 2, 0x0C0C, 0xFFFF);
    init_config(0x78, 1, 0x02, 0xFF);
    init_config(0xA0, 1, 0x08, 0xFF);
    init_config(0xA8, 1, 0x0F, 0xFF);
}

IrqLine Piix3Isa::pirq_line(unsigned pirq) {
    return IrqLine([this, pirq = pirq & 3](bool level) {
        if (level)
            ++asserted_[pirq];
        else if (asserted_[pirq])
            --asserted_[pirq];
        drive();
    });
}

unsigned Piix3Isa::routed_irq(unsigned pirq) const {
    u8 route = config8(static_cast<u8>(kPirqRoute + pirq));
    unsigned irq = route & 15;
    return (route & kRouteOff) || !(kRoutable >> irq & 1) ? kNone : irq;
}

void Piix3Isa::drive() {
    u32 levels = 0;
    for (unsigned pirq = 0; pirq < asserted_.size(); ++pirq)
        if (asserted_[pirq]) levels |= u32{1} << routed_irq(pirq);
    for (unsigned irq = 0; irq < isa_.size(); ++irq) isa_[irq].set(levels >> irq & 1);
}

void Piix3Isa::config_written(u8 offset, unsigned size) {
    if (offset < kPirqRoute + 4 && offset + size > kPirqRoute) drive();
}

void Piix3Isa::reset() {
    PciDevice::reset();
    drive();  // the wires keep the level their devices drive
}

void Piix3Isa::serialize(Archive& archive) {
    PciDevice::serialize(archive);
    archive(asserted_, isa_);
}

void Piix3Isa::inspect(Inspector& inspector) const {
    PciDevice::inspect(inspector);
    for (unsigned pirq = 0; pirq < asserted_.size(); ++pirq) {
        unsigned irq = routed_irq(pirq);
        std::string where = irq == kNone ? "off" : fmt::format("irq {}", irq);
        inspector.text(fmt::format("PIRQ{}", static_cast<char>('A' + pirq)),
                       fmt::format("{}, {} asserted", where, asserted_[pirq]));
    }
}

}  // namespace shadowbox
