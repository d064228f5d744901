// SPDX-License-Identifier: MIT
// ORs device lines into PIC and IOAPIC inputs.
#include "devices/interrupts/irq_router.h"

namespace shadowbox {

bool IrqRouter::Input::change(bool asserted) {
    if (asserted) return sources++ == 0;
    if (sources == 0) return false;
    return --sources == 0;
}

void IrqRouter::set_pic(unsigned irq, bool asserted) {
    if (pic_inputs_[irq].change(asserted)) pic_.set_irq(irq, asserted);
}

void IrqRouter::set_ioapic(unsigned pin, bool asserted) {
    if (ioapic_inputs_[pin].change(asserted)) ioapic_.set_pin(pin, asserted);
}

IrqLine IrqRouter::isa_line(unsigned irq) {
    if (irq >= 16 || irq == 2) return IrqLine();
    unsigned pin = irq == layout::kIrqPit ? layout::kPitGsi : irq;
    return IrqLine([this, irq, pin](bool asserted) {
        set_pic(irq, asserted);
        set_ioapic(pin, asserted);
    });
}

IrqLine IrqRouter::gsi_line(unsigned gsi) {
    if (gsi >= layout::kIoApicPins) return IrqLine();
    if (gsi == layout::kPitGsi) return isa_line(layout::kIrqPit);
    if (gsi != 0 && gsi < 16) return isa_line(gsi);
    return IrqLine([this, gsi](bool asserted) { set_ioapic(gsi, asserted); });
}

void IrqRouter::serialize(Archive& archive) {
    archive.section(name(), 1);
    for (Input& input : pic_inputs_) archive(input.sources);
    for (Input& input : ioapic_inputs_) archive(input.sources);
}

void IrqRouter::inspect(Inspector& inspector) const {
    for (unsigned irq = 0; irq < pic_inputs_.size(); ++irq)
        if (pic_inputs_[irq].sources)
            inspector.field(fmt::format("irq {} asserted by", irq), pic_inputs_[irq].sources);
    for (unsigned pin = 0; pin < ioapic_inputs_.size(); ++pin)
        if (ioapic_inputs_[pin].sources)
            inspector.field(fmt::format("pin {} asserted by", pin), ioapic_inputs_[pin].sources);
}

}  // namespace shadowbox
