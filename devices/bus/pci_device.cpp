// SPDX-License-Identifier: MIT
// Configuration space, BAR decoding, expansion ROM, INTx.
#include "devices/bus/pci_device.h"

#include <bit>

#include "core/check.h"
#include "devices/bus/pci_bus.h"
#include "devices/bus/pci_msix.h"

namespace shadowbox {

using namespace pci;

/// The bytes of an expansion ROM; reads past them yield ones, writes go nowhere.
class PciDevice::RomHandler final : public MmioHandler {
 public:
    RomHandler(std::vector<u8> content, u32 size) : content_(std::move(content)), size_(size) {}
    u32 size() const { return size_; }
    u64 mmio_read(u64 offset, unsigned size) override {
        u64 value = 0;
        for (unsigned i = 0; i < size; ++i) {
            u64 byte = offset + i < content_.size() ? content_[offset + i] : 0xFF;
            value |= byte << (i * 8);
        }
        return value;
    }
    void mmio_write(u64, unsigned, u64) override {}

 private:
    std::vector<u8> content_;
    u32 size_;
};

PciDevice::PciDevice(std::string name, const PciIdentity& identity) : name_(std::move(name)) {
    init_config(kVendorId, 2, identity.vendor);
    init_config(kDeviceId, 2, identity.device);
    init_config(
        kCommand, 2, 0,
        kCommandIo | kCommandMemory | kCommandMaster | kCommandParity | kCommandSerr | kCommandIntxDisable);
    init_config(kRevision, 1, identity.revision);
    init_config(kClass, 1, identity.class_code & 0xFF);
    init_config(kClass + 1, 2, identity.class_code >> 8);
    init_config(kCacheLineSize, 1, 0, 0xFF);
    init_config(kSubsystemVendor, 2, identity.subsystem_vendor);
    init_config(kSubsystem, 2, identity.subsystem);
    init_config(kInterruptLine, 1, 0, 0xFF);
    init_config(kInterruptPin, 1, identity.interrupt_pin);
    write_one_clears_[kStatus + 1] = kStatusErrors >> 8;
    config_ = power_on_;
}

PciDevice::~PciDevice() = default;

void PciDevice::init_config(u8 offset, unsigned size, u32 value, u32 writable) {
    for (unsigned i = 0; i < size; ++i) {
        power_on_[offset + i] = config_[offset + i] = static_cast<u8>(value >> (i * 8));
        writable_[offset + i] = static_cast<u8>(writable >> (i * 8));
    }
}

// --- declarations ---

void PciDevice::add_bar(unsigned index, u64 size, u32 flags, PciRegion region) {
    VM_CHECK(index < 6 && std::has_single_bit(size));
    u8 offset = static_cast<u8>(kBar0 + index * 4);
    init_config(offset, 4, flags, static_cast<u32>(~(size - 1)));
    if (!(flags & kBarIo) && (flags & kBar64))
        init_config(static_cast<u8>(offset + 4), 4, 0, static_cast<u32>(~(size - 1) >> 32));
    region.label = fmt::format("{} bar {}", name_, index);
    region.size = size;
    region.wanted = [this, index, size] { return bar_address(index, size); };
    regions_.push_back(std::move(region));
}

void PciDevice::add_port_bar(unsigned index, u32 size, PortHandler& handler) {
    PciRegion region;
    region.ports = &handler;
    add_bar(index, size, kBarIo, std::move(region));
}

void PciDevice::add_mmio_bar(unsigned index, u64 size, MmioHandler& handler, u32 flags) {
    PciRegion region;
    region.mmio = &handler;
    add_bar(index, size, flags, std::move(region));
}

void PciDevice::add_ram_bar(unsigned index, u64 size, u32 flags,
                            std::function<void(std::optional<u64>)> place) {
    PciRegion region;
    region.place_ram = std::move(place);
    add_bar(index, size, flags, std::move(region));
}

void PciDevice::set_expansion_rom(std::vector<u8> content) {
    if (content.empty()) return;
    u32 size = static_cast<u32>(std::bit_ceil(std::max<std::size_t>(content.size(), 2048)));
    rom_ = std::make_unique<RomHandler>(std::move(content), size);
    init_config(kRomBar, 4, 0, ~(size - 1) | kRomEnable);
    PciRegion region;
    region.label = fmt::format("{} rom", name_);
    region.size = size;
    region.mmio = rom_.get();
    region.wanted = [this] { return rom_address(); };
    regions_.push_back(std::move(region));
}

u8 PciDevice::add_capability(u8 id, u8 size) {
    u8 offset = next_capability_;
    VM_CHECK(offset + size <= 256);
    next_capability_ = static_cast<u8>((offset + size + 3) & ~3);
    init_config(offset, 1, id);
    init_config(static_cast<u8>(offset + 1), 1, power_on_[kCapabilities]);  // new ones lead the list
    init_config(kCapabilities, 1, offset);
    init_config(kStatus, 1, power_on_[kStatus] | kStatusCapabilities);
    return offset;
}

Msix& PciDevice::add_msix(ApicMessageSink& sink, unsigned vectors, unsigned bar) {
    u8 offset = add_capability(kCapMsix, 12);
    msix_ = std::make_unique<Msix>(sink, vectors);
    init_config(static_cast<u8>(offset + 2), 2, vectors - 1, Msix::kEnable | Msix::kFunctionMask);
    init_config(static_cast<u8>(offset + 4), 4, bar);
    init_config(static_cast<u8>(offset + 8), 4, msix_->pending_offset() | bar);
    msix_->set_control_offset(offset + 2);
    add_mmio_bar(bar, msix_->bar_size(), *msix_);
    return *msix_;
}

void PciDevice::connect(PciBus& bus, IrqLine intx) {
    bus_ = &bus;
    intx_line_ = std::move(intx);
}

// --- decoding ---

std::optional<u64> PciDevice::bar_address(unsigned index, u64 size) const {
    u8 offset = static_cast<u8>(kBar0 + index * 4);
    u32 low = config32(offset);
    bool io = low & kBarIo;
    if (!(command() & (io ? kCommandIo : kCommandMemory))) return std::nullopt;
    u64 address = low & ~u32{io ? 3u : 15u};
    if (!io && (low & kBar64)) address |= u64{config32(static_cast<u8>(offset + 4))} << 32;
    u64 limit = io ? u64{1} << 16 : u64{1} << kPhysicalBits;
    // 0 is a BAR nobody has set. All ones is a BAR being sized (PCI 3.0 6.2.5.1): with decoding left on it
    // would for a moment lie over the firmware at the top of 4 GiB.
    if (address == 0 || address + size > limit) return std::nullopt;
    if (!io && address + size == u64{1} << 32) return std::nullopt;
    return address;
}

std::optional<u64> PciDevice::rom_address() const {
    u32 bar = config32(kRomBar);
    if (!(bar & kRomEnable) || !(command() & kCommandMemory)) return std::nullopt;
    u64 address = bar & 0xFFFFF800;
    u64 size = rom_->size();
    if (address == 0 || address + size >= u64{1} << 32) return std::nullopt;
    return address;
}

void PciDevice::regions_changed() {
    if (bus_) bus_->remap();
}

// --- configuration cycles ---

u32 PciDevice::config_read(u8 offset, unsigned size) const {
    u32 value = 0;
    for (unsigned i = 0; i < size; ++i) {
        u32 byte = config_[static_cast<u8>(offset + i)];
        if (static_cast<u8>(offset + i) == kStatus && intx_wanted_) byte |= kStatusInterrupt;
        value |= byte << (i * 8);
    }
    return value;
}

void PciDevice::config_write(u8 offset, unsigned size, u32 value) {
    bool moves = false;
    for (unsigned i = 0; i < size; ++i) {
        u8 at = static_cast<u8>(offset + i);
        u8 written = static_cast<u8>(value >> (i * 8));
        u8 old = config_[at];
        config_[at] = static_cast<u8>(((old & ~writable_[at]) | (written & writable_[at])) &
                                      ~(written & write_one_clears_[at]));
        bool decodes = at < kStatus || (at >= kBar0 && at < kRomBar + 4);
        moves |= decodes && config_[at] != old;
    }
    if (moves) regions_changed();
    drive_intx();
    if (msix_) msix_->set_control(config16(static_cast<u8>(msix_->control_offset())));
    config_written(offset, size);
}

// --- interrupts ---

void PciDevice::set_intx(bool asserted) {
    intx_wanted_ = asserted;
    drive_intx();
}

void PciDevice::drive_intx() { intx_line_.set(intx_wanted_ && !(command() & kCommandIntxDisable)); }

// --- Device ---

void PciDevice::reset() {
    config_ = power_on_;
    if (msix_) msix_->reset();
    set_intx(false);
    regions_changed();
}

void PciDevice::serialize(Archive& archive) {
    archive.section(fmt::format("pci:{}", name_), 1);
    std::array<u8, 256> saved = config_;
    archive(saved, intx_wanted_, intx_line_);
    if (msix_) msix_->serialize(archive);
    if (!archive.loading()) return;
    for (std::size_t i = 0; i < saved.size(); ++i) {
        u8 changeable = writable_[i] | write_one_clears_[i];
        config_[i] = static_cast<u8>((power_on_[i] & ~changeable) | (saved[i] & changeable));
    }
    if (msix_) msix_->set_control(config16(static_cast<u8>(msix_->control_offset())));
    regions_changed();
}

void PciDevice::inspect(Inspector& inspector) const {
    inspector.hex("vendor", config16(kVendorId));
    inspector.hex("device", config16(kDeviceId));
    inspector.hex("command", command());
    inspector.field("INTx", intx_wanted_);
    if (config_[kInterruptPin]) inspector.field("interrupt line", config_[kInterruptLine]);
    for (const PciRegion& region : regions_) {
        std::string where = region.mapped ? fmt::format("0x{:x}", *region.mapped) : "not decoded";
        inspector.text(region.label, fmt::format("{}, size 0x{:x}", where, region.size));
    }
    if (msix_) {
        Inspector group = inspector.group("MSI-X");
        msix_->inspect(group);
    }
}

}  // namespace shadowbox
