// SPDX-License-Identifier: MIT
// MSI-X table, masking and delivery.
#include "devices/bus/pci_msix.h"

#include <bit>

#include "core/check.h"

namespace shadowbox {

Msix::Msix(ApicMessageSink& sink, unsigned vectors) : sink_(sink), table_(vectors), pending_(vectors) {
    VM_CHECK(vectors >= 1 && vectors <= 2048);
    bar_size_ = std::max<u32>(4096, std::bit_ceil(vectors * 32));
}

void Msix::notify(unsigned vector) {
    if (vector >= table_.size() || !enabled()) return;
    if (held(vector))
        pending_[vector] = 1;
    else
        send(vector);
}

void Msix::withdraw(unsigned vector) {
    if (vector < table_.size()) pending_[vector] = 0;
}

void Msix::send(unsigned vector) {
    const Entry& entry = table_[vector];
    u64 address = u64{entry.words[1]} << 32 | entry.words[0];
    pending_[vector] = 0;
    // Only writes to FEExxxxxh reach local APICs (SDM 3A 11.11.1); elsewhere an MSI is a stray memory write.
    if (address >> 20 == 0xFEE) sink_.deliver(msi_message(address, entry.words[2]));
}

void Msix::send_released() {
    if (!enabled()) return;
    for (unsigned vector = 0; vector < table_.size(); ++vector)
        if (pending_[vector] && !held(vector)) send(vector);
}

void Msix::set_control(u16 control) {
    control &= kEnable | kFunctionMask;  // the rest is the table's size
    if (control == control_) return;
    control_ = control;
    send_released();
}

u32 Msix::read_word(u64 offset) const {
    if (offset < table_.size() * 16) return table_[offset / 16].words[offset / 4 % 4];
    if (offset < pending_offset()) return 0;
    u64 first = (offset - pending_offset()) * 8;
    u32 bits = 0;
    for (unsigned i = 0; i < 32 && first + i < pending_.size(); ++i) bits |= u32{pending_[first + i]} << i;
    return bits;
}

u64 Msix::mmio_read(u64 offset, unsigned size) {
    u64 value = read_word(offset & ~u64{3}) >> (offset & 3) * 8;
    if (size == 8) value |= u64{read_word((offset & ~u64{3}) + 4)} << 32;
    return size >= 8 ? value : value & ((u64{1} << size * 8) - 1);
}

void Msix::mmio_write(u64 offset, unsigned size, u64 value) {
    // Dword and qword accesses only (PCI 3.0 6.8.2); the pending bits are read-only.
    if (size < 4 || (offset & 3)) return;
    for (unsigned done = 0; done < size; done += 4, offset += 4) {
        if (offset >= table_.size() * 16) return;
        u32 word = static_cast<u32>(value >> (done * 8));
        unsigned which = offset / 4 % 4;
        u32 writable = which == 0 ? ~u32{3} : which == 3 ? 1u : ~u32{0};
        table_[offset / 16].words[which] = word & writable;
    }
    send_released();
}

void Msix::reset() {
    table_.assign(table_.size(), Entry{});
    pending_.assign(pending_.size(), 0);
    control_ = 0;
}

void Msix::serialize(Archive& archive) {
    for (Entry& entry : table_) archive(entry.words);
    for (u8& bit : pending_) {
        archive(bit);
        bit &= 1;
    }
    u16 control = control_;
    archive(control);
    if (archive.loading())
        control_ = control & (kEnable | kFunctionMask);  // no send: the APICs save what they have received
}

void Msix::inspect(Inspector& inspector) const {
    inspector.field("enabled", enabled());
    for (unsigned vector = 0; vector < table_.size(); ++vector) {
        const Entry& entry = table_[vector];
        if (entry.masked() && !pending_[vector]) continue;
        inspector.text(fmt::format("vector {}", vector),
                       fmt::format("address 0x{:x}{:08x}, data 0x{:x}{}{}", entry.words[1], entry.words[0],
                                   entry.words[2], entry.masked() ? ", masked" : "",
                                   pending_[vector] ? ", pending" : ""));
    }
}

}  // namespace shadowbox
