// SPDX-License-Identifier: MIT
#include "devices/chipset/coprocessor_error.h"

namespace shadowbox {

CoprocessorError::CoprocessorError(IrqLine irq13, std::function<void(bool)> ignne)
    : irq_(std::move(irq13)), ignne_pin_(std::move(ignne)) {}

void CoprocessorError::drive_ignne(bool level) {
    ignne_ = level;
    if (ignne_pin_) ignne_pin_(level);
}

void CoprocessorError::set_ferr(bool level) {
    ferr_ = level;
    if (!level) drive_ignne(false);
    irq_.set(ferr_ && !ignne_);
}

/// Whatever is written. Without an error it does nothing.
void CoprocessorError::port_write(u16, unsigned, u32) {
    if (!ferr_) return;
    irq_.lower();
    drive_ignne(true);
}

void CoprocessorError::reset() { set_ferr(false); }

void CoprocessorError::serialize(Archive& archive) {
    archive.section(name(), 1);
    archive(ferr_, ignne_, irq_);
    if (archive.loading()) drive_ignne(ignne_);
}

void CoprocessorError::inspect(Inspector& inspector) const {
    inspector.field("FERR#", ferr_);
    inspector.field("IGNNE#", ignne_);
    inspector.field("IRQ 13", irq_.level());
}

}  // namespace shadowbox
