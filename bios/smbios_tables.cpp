// SPDX-License-Identifier: MIT
#include "bios/smbios_tables.h"

#include <cstring>

namespace shadowbox {

namespace {

class Builder {
 public:
    std::vector<u8> bytes;
    unsigned count = 0;
    u16 largest = 0;

    /// `body` is the formatted part after the four header bytes (DSP0134 7).
    void add(u8 type, u16 handle, const std::vector<u8>& body, std::initializer_list<std::string> strings) {
        std::size_t start = bytes.size();
        bytes.push_back(type);
        bytes.push_back(static_cast<u8>(body.size() + 4));
        bytes.push_back(static_cast<u8>(handle));
        bytes.push_back(static_cast<u8>(handle >> 8));
        bytes.insert(bytes.end(), body.begin(), body.end());
        for (const std::string& text : strings) {
            bytes.insert(bytes.end(), text.begin(), text.end());
            bytes.push_back(0);
        }
        if (strings.size() == 0) bytes.push_back(0);
        bytes.push_back(0);
        largest = std::max<u16>(largest, static_cast<u16>(bytes.size() - start));
        ++count;
    }
};

template <class T>
void set(std::vector<u8>& bytes, std::size_t at, T value) {
    memcpy(bytes.data() + at, &value, sizeof value);
}

u8 checksum(const u8* bytes, unsigned size) {
    u8 sum = 0;
    for (unsigned i = 0; i < size; ++i) sum = static_cast<u8>(sum + bytes[i]);
    return static_cast<u8>(-sum);
}

}  // namespace

SmbiosTables build_smbios(const SmbiosMachine& machine) {
    Builder b;
    std::vector<u8> bios = {1, 2, 0x00, 0xE8, 3, 0,    0x08, 0, 0,    0,
                            0, 0, 0,    0,    0, 0x14, 0,    1, 0xFF, 0xFF};  // 10h: a virtual machine
    b.add(0, 0x000, bios, {"Shadowbox", "0.1", "11/21/2026"});
    std::vector<u8> system = {1, 2, 3, 0};
    system.insert(system.end(), machine.uuid, machine.uuid + 16);
    system.insert(system.end(), {6, 0, 0});
    b.add(1, 0x100, system, {"Shadowbox", "Shadowbox PC (i440FX + PIIX)", "0.1"});
    b.add(3, 0x300, {1, 1, 2, 0, 0, 3, 3, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {"Shadowbox", "0.1"});
    for (unsigned i = 0; i < machine.vcpus; ++i) {
        std::vector<u8> cpu(38);
        cpu[0] = 1, cpu[1] = 3, cpu[2] = 1, cpu[3] = 2;
        cpu[20] = 0x41, cpu[21] = 1;  // enabled, socket populated; upgrade: other
        set<u16>(cpu, 22, 0xFFFF), set<u16>(cpu, 24, 0xFFFF), set<u16>(cpu, 26, 0xFFFF);
        cpu[31] = cpu[32] = cpu[33] = 1;
        set<u16>(cpu, 34, 4);
        b.add(4, static_cast<u16>(0x400 + i), cpu, {"CPU " + std::to_string(i), "Shadowbox"});
    }
    u32 kib = static_cast<u32>(std::min<u64>(machine.memory_bytes >> 10, 0x80000000));
    std::vector<u8> array(19);
    array[0] = 1, array[1] = 3, array[2] = 3;
    set<u32>(array, 3, kib);
    set<u16>(array, 7, 0xFFFE), set<u16>(array, 9, 1);
    b.add(16, 0x1000, array, {});
    std::vector<u8> module(36);
    set<u16>(module, 0, 0x1000), set<u16>(module, 2, 0xFFFE), set<u16>(module, 4, 0xFFFF),
        set<u16>(module, 6, 0xFFFF);
    u64 mib = machine.memory_bytes >> 20;
    set<u16>(module, 8, mib < 0x7FFF ? static_cast<u16>(mib) : 0x7FFF);
    module[10] = 9, module[12] = 1, module[14] = 7;
    set<u32>(module, 24, mib < 0x7FFF ? 0 : static_cast<u32>(mib));
    b.add(17, 0x1100, module, {"DIMM 0"});
    std::vector<u8> mapped(27);
    set<u32>(mapped, 4, kib - 1), set<u16>(mapped, 8, 0x1000);
    mapped[10] = 1;
    b.add(19, 0x1300, mapped, {});
    b.add(32, 0x2000, {0, 0, 0, 0, 0, 0, 0}, {});
    b.add(127, 0x7F00, {}, {});

    SmbiosTables tables;
    tables.structures = b.bytes;
    std::vector<u8>& e = tables.entry_point;
    e.resize(31);
    memcpy(e.data(), "_SM_", 4);
    e[5] = 31, e[6] = 2, e[7] = 8;
    set<u16>(e, 8, b.largest);
    memcpy(e.data() + 16, "_DMI_", 5);
    set<u16>(e, 22, static_cast<u16>(b.bytes.size()));
    set<u16>(e, 28, static_cast<u16>(b.count));
    e[30] = 0x28;
    link_smbios(tables, 0);
    return tables;
}

void link_smbios(SmbiosTables& tables, u32 structures_address) {
    std::vector<u8>& e = tables.entry_point;
    set<u32>(e, 24, structures_address);
    e[21] = 0;
    e[21] = checksum(e.data() + 16, 15);
    e[4] = 0;
    e[4] = checksum(e.data(), 31);
}

}  // namespace shadowbox
