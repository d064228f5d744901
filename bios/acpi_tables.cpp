// SPDX-License-Identifier: MIT
#include "bios/acpi_tables.h"

#include <cstring>

#include "bios/aml.h"
#include "bios/pc_numbers.h"

namespace shadowbox {

namespace {

using aml::Bytes;

template <class T>
void set(std::vector<u8>& bytes, std::size_t at, T value) {
    memcpy(bytes.data() + at, &value, sizeof value);
}
void text(std::vector<u8>& bytes, std::size_t at, const char* value, std::size_t size) {
    memcpy(bytes.data() + at, value, size);
}

/// The 36-byte header that all tables but FACS and RSDP share.
std::vector<u8> table(const char* signature, u8 revision, std::size_t size) {
    std::vector<u8> t(size);
    text(t, 0, signature, 4);
    set<u32>(t, 4, static_cast<u32>(size));
    t[8] = revision;
    text(t, 10, "SHADOW", 6);
    text(t, 16, "SHADOWBX", 8);
    set<u32>(t, 24, 1);
    text(t, 28, "SBOX", 4);
    set<u32>(t, 32, 1);
    return t;
}

u32 add(AcpiBlob& blob, const std::vector<u8>& t, unsigned alignment, bool checksum = true) {
    while (blob.bytes.size() % alignment) blob.bytes.push_back(0);
    u32 at = static_cast<u32>(blob.bytes.size());
    blob.bytes.insert(blob.bytes.end(), t.begin(), t.end());
    if (checksum) blob.checksums.push_back({at + 9, at, static_cast<u32>(t.size())});
    return at;
}

/// A generic address structure in I/O space.
void gas_io(std::vector<u8>& t, std::size_t at, u8 bits, u16 port) {
    t[at] = 1;
    t[at + 1] = bits;
    t[at + 3] = bits <= 8 ? 1 : bits <= 16 ? 2 : 3;
    set<u64>(t, at + 4, port);
}

Bytes pci_routes(const AcpiMachine& machine) {
    std::vector<Bytes> routes;
    for (u32 slot = 0; slot < 32; ++slot) {
        for (u32 pin = 0; pin < 4; ++pin) {
            u8 gsi = machine.pci_irqs[(slot + pin - 1) & 3];
            routes.push_back(aml::package(
                {aml::integer(slot << 16 | 0xFFFF), aml::integer(pin), aml::integer(0), aml::integer(gsi)}));
        }
    }
    return aml::package(routes);
}

Bytes isa_device(const char* path, const char* id, const Bytes& resources) {
    return aml::device(path, {aml::name("_HID", aml::eisa_id(id)), aml::name("_CRS", resources)});
}
Bytes serial_port(const char* path, u64 uid, u16 port, unsigned irq) {
    return aml::device(path,
                       {aml::name("_HID", aml::eisa_id("PNP0501")), aml::name("_UID", aml::integer(uid)),
                        aml::name("_CRS", aml::resources({aml::io_port(port, 8), aml::irq(irq)}))});
}

std::vector<u8> make_dsdt(const AcpiMachine& machine) {
    using namespace pc;
    Bytes isa = aml::device(
        "ISA", {
                   aml::name("_ADR", aml::integer(0x00010000)),
                   isa_device("RTC", "PNP0B00", aml::resources({aml::io_port(0x70, 2), aml::irq(8)})),
                   isa_device("KBD", "PNP0303",
                              aml::resources({aml::io_port(0x60, 1), aml::io_port(0x64, 1), aml::irq(1)})),
                   isa_device("MOU", "PNP0F13", aml::resources({aml::irq(12)})),
                   serial_port("COM1", 1, 0x3F8, 4),
                   serial_port("COM2", 2, 0x2F8, 3),
               });
    Bytes pci = aml::device(
        "PCI0",
        {
            aml::name("_HID", aml::eisa_id("PNP0A03")),
            aml::name("_UID", aml::integer(0)),
            aml::name("_CRS", aml::resources({aml::bus_numbers(0, 0xFF), aml::io_port(0xCF8, 8),
                                              aml::io_window(0, 0xCF7), aml::io_window(0xD00, 0xFFFF),
                                              aml::memory_window(0xA0000, 0xBFFFF, true),
                                              aml::memory_window(kPciHoleFirst, kPciHoleLast, false)})),
            aml::name("_PRT", pci_routes(machine)),
            isa,
        });
    // As on QEMU's board, where Linux' driver looks: _STA present and working, not to be shown.
    Bytes fw_cfg = aml::device(
        "FWCF", {aml::name("_HID", aml::string("QEMU0002")), aml::name("_STA", aml::integer(0x0B)),
                 aml::name("_CRS", aml::resources({aml::io_port(kFwCfgPort, kFwCfgPorts)}))});
    Bytes hpet =
        aml::device("HPET", {aml::name("_HID", aml::eisa_id("PNP0103")), aml::name("_UID", aml::integer(0)),
                             aml::name("_CRS", aml::resources({aml::memory_fixed(kHpetAddress, 0x400)}))});
    Bytes code = aml::scope("\\_SB", {pci, hpet, fw_cfg});
    Bytes s5 = aml::name("\\_S5", aml::package({aml::integer(kS5Type), aml::integer(kS5Type), aml::integer(0),
                                                aml::integer(0)}));
    std::vector<u8> dsdt = table("DSDT", 1, 36 + code.size() + s5.size());
    memcpy(dsdt.data() + 36, code.data(), code.size());
    memcpy(dsdt.data() + 36 + code.size(), s5.data(), s5.size());
    return dsdt;
}

std::vector<u8> make_fadt() {
    using namespace pc;
    std::vector<u8> t = table("FACP", 3, 244);
    t[45] = 1;  // desktop
    set<u16>(t, 46, kSciIrq);
    set<u32>(t, 48, kSmiCommandPort);
    t[52] = kAcpiEnable;
    t[53] = kAcpiDisable;
    set<u32>(t, 56, kPmBase);
    set<u32>(t, 64, kPmBase + 4);
    set<u32>(t, 76, kPmBase + 8);
    set<u32>(t, 80, kGpe0Base);
    t[88] = 4, t[89] = 2, t[91] = 4, t[92] = 4;
    set<u16>(t, 96, 0xFFF), set<u16>(t, 98, 0xFFF);  // no C2, no C3
    t[108] = 0x32;                                   // century register
    set<u16>(t, 109, 1 << 0 | 1 << 1);               // legacy devices, 8042
    // WBINVD, C1, no sleep button as fixed hardware, RTC not fixed, reset register
    set<u32>(t, 112, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10);
    gas_io(t, 116, 8, 0xCF9);
    t[128] = 0x06;
    gas_io(t, 148, 32, kPmBase);
    gas_io(t, 172, 16, kPmBase + 4);
    gas_io(t, 208, 32, kPmBase + 8);
    gas_io(t, 220, 32, kGpe0Base);
    return t;
}

std::vector<u8> make_madt(const AcpiMachine& machine) {
    std::vector<u8> t = table("APIC", 1, 44);
    set<u32>(t, 36, 0xFEE00000);
    set<u32>(t, 40, 1);  // 8259s are there too
    auto put = [&t](std::initializer_list<u8> bytes) { t.insert(t.end(), bytes); };
    for (unsigned i = 0; i < machine.vcpus; ++i) {
        if (i < 255) put({0, 8, static_cast<u8>(i), static_cast<u8>(i), 1, 0, 0, 0});
    }
    put({1, 12, 0, 0, 0x00, 0x00, 0xC0, 0xFE, 0, 0, 0, 0});
    auto source_override = [&put](u8 irq, u8 gsi, u8 flags) { put({2, 10, 0, irq, gsi, 0, 0, 0, flags, 0}); };
    source_override(0, pc::kPitGsi, 0);
    source_override(pc::kSciIrq, pc::kSciIrq, 0x0D);  // level, active high
    u8 last = 0;
    for (u8 irq : machine.pci_irqs) {
        if (irq != last) source_override(irq, irq, 0x0D);
        last = irq;
    }
    put({4, 6, 0xFF, 0, 0, 1});  // NMI on LINT1 of every processor
    set<u32>(t, 4, static_cast<u32>(t.size()));
    return t;
}

std::vector<u8> make_hpet() {
    std::vector<u8> t = table("HPET", 1, 56);
    set<u32>(t, 36, 0x8086A201);
    set<u64>(t, 44, pc::kHpetAddress);
    set<u16>(t, 53, 100);  // shortest periodic interval, in ticks
    return t;
}

}  // namespace

AcpiBlob build_acpi(const AcpiMachine& machine) {
    AcpiBlob blob;
    std::vector<u8> facs(64);
    text(facs, 0, "FACS", 4);
    set<u32>(facs, 4, 64);
    u32 facs_at = add(blob, facs, 64, false);
    u32 dsdt_at = add(blob, make_dsdt(machine), 16);
    u32 fadt_at = add(blob, make_fadt(), 16);
    blob.pointers.push_back({fadt_at + 36, 4, facs_at});
    blob.pointers.push_back({fadt_at + 40, 4, dsdt_at});
    blob.pointers.push_back({fadt_at + 140, 8, dsdt_at});
    std::vector<u32> listed = {fadt_at, add(blob, make_madt(machine), 16), add(blob, make_hpet(), 16)};
    blob.rsdt = add(blob, table("RSDT", 1, 36 + 4 * listed.size()), 16);
    for (u32 i = 0; i < listed.size(); ++i) blob.pointers.push_back({blob.rsdt + 36 + 4 * i, 4, listed[i]});
    // Until it is linked, a pointer holds the offset of its target: firmware adds the address of the file.
    for (const auto& p : blob.pointers) memcpy(blob.bytes.data() + p.at, &p.target, sizeof p.target);
    return blob;
}

static u8 checksum_of(const std::vector<u8>& bytes, u32 first, u32 size) {
    u8 sum = 0;
    for (u32 i = 0; i < size; ++i) sum = static_cast<u8>(sum + bytes[first + i]);
    return static_cast<u8>(-sum);
}

std::vector<u8> link_acpi(const AcpiBlob& blob, u32 base) {
    std::vector<u8> bytes = blob.bytes;
    for (const auto& p : blob.pointers) {
        u64 address = base + p.target;
        memcpy(bytes.data() + p.at, &address, p.size);
    }
    for (const auto& c : blob.checksums) {
        bytes[c.at] = 0;
        bytes[c.at] = checksum_of(bytes, c.first, c.size);
    }
    return bytes;
}

std::vector<u8> make_rsdp(u32 rsdt_address) {
    std::vector<u8> r(20);
    text(r, 0, "RSD PTR ", 8);
    text(r, 9, "SHADOW", 6);
    set<u32>(r, 16, rsdt_address);
    r[8] = checksum_of(r, 0, 20);
    return r;
}

std::vector<u8> acpi_loader_script(const AcpiBlob& blob) {
    static constexpr const char* kTables = "etc/acpi/tables";
    static constexpr const char* kRsdp = "etc/acpi/rsdp";
    std::vector<u8> script;
    auto entry = [&script](u32 command) {
        script.resize(script.size() + 128);
        std::size_t at = script.size() - 128;
        memcpy(script.data() + at, &command, 4);
        return at + 4;
    };
    auto file = [&script](std::size_t at, const char* name) {
        memcpy(script.data() + at, name, strlen(name));
    };
    auto allocate = [&](const char* name, u32 alignment, u8 zone) {
        std::size_t at = entry(1);
        file(at, name);
        memcpy(script.data() + at + 56, &alignment, 4);
        script[at + 60] = zone;
    };
    auto pointer = [&](const char* to, const char* from, u32 offset, u8 size) {
        std::size_t at = entry(2);
        file(at, to);
        file(at + 56, from);
        memcpy(script.data() + at + 112, &offset, 4);
        script[at + 116] = size;
    };
    auto checksum = [&](const char* name, u32 where, u32 first, u32 size) {
        std::size_t at = entry(3);
        file(at, name);
        memcpy(script.data() + at + 56, &where, 4);
        memcpy(script.data() + at + 60, &first, 4);
        memcpy(script.data() + at + 64, &size, 4);
    };
    allocate(kTables, 64, 1);  // high memory
    allocate(kRsdp, 16, 2);    // F segment
    for (const auto& p : blob.pointers) pointer(kTables, kTables, p.at, p.size);
    for (const auto& c : blob.checksums) checksum(kTables, c.at, c.first, c.size);
    pointer(kRsdp, kTables, 16, 4);
    checksum(kRsdp, 8, 0, 20);
    return script;
}

}  // namespace shadowbox
