// SPDX-License-Identifier: MIT
// AML bytes, the ACPI tables with their checksums and links, the table-loader script, SMBIOS.
#include <catch2/catch.hpp>

#include <cstring>
#include <map>
#include <string>

#include "bios/acpi_tables.h"
#include "bios/aml.h"
#include "bios/pc_numbers.h"
#include "bios/smbios_tables.h"

using namespace shadowbox;
using aml::Bytes;

namespace {

template <class T>
T get(const std::vector<u8>& bytes, std::size_t at) {
    T value{};
    REQUIRE(at + sizeof value <= bytes.size());
    memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}
u8 sum(const std::vector<u8>& bytes, std::size_t first, std::size_t size) {
    REQUIRE(first + size <= bytes.size());
    u8 total = 0;
    for (std::size_t i = 0; i < size; ++i) total = static_cast<u8>(total + bytes[first + i]);
    return total;
}
std::string text(const std::vector<u8>& bytes, std::size_t at, std::size_t size) {
    return {bytes.begin() + static_cast<std::ptrdiff_t>(at),
            bytes.begin() + static_cast<std::ptrdiff_t>(at + size)};
}

/// Follows RSDP and RSDT as an operating system does: signature to offset in `blob`.
std::map<std::string, u32> walk_tables(const std::vector<u8>& rsdp, const std::vector<u8>& blob, u32 base) {
    std::map<std::string, u32> found;
    CHECK(text(rsdp, 0, 8) == "RSD PTR ");
    CHECK(sum(rsdp, 0, 20) == 0);
    u32 rsdt = get<u32>(rsdp, 16) - base;
    u32 size = get<u32>(blob, rsdt + 4);
    CHECK(text(blob, rsdt, 4) == "RSDT");
    CHECK(sum(blob, rsdt, size) == 0);
    for (u32 at = rsdt + 36; at < rsdt + size; at += 4) {
        u32 table = get<u32>(blob, at) - base;
        found[text(blob, table, 4)] = table;
        CHECK(sum(blob, table, get<u32>(blob, table + 4)) == 0);
    }
    return found;
}

/// A structure of an SMBIOS table: offset of the formatted part, and its strings.
struct Structure {
    std::size_t at;
    std::vector<std::string> strings;
};
std::multimap<u8, Structure> walk_smbios(const std::vector<u8>& bytes) {
    std::multimap<u8, Structure> found;
    for (std::size_t at = 0; at < bytes.size();) {
        Structure s{at, {}};
        u8 type = bytes[at];
        at += bytes[at + 1];
        while (bytes.at(at)) {
            std::string line(reinterpret_cast<const char*>(&bytes[at]));
            at += line.size() + 1;
            s.strings.push_back(line);
        }
        if (s.strings.empty()) ++at;
        ++at;
        found.emplace(type, s);
        if (type == 127) CHECK(at == bytes.size());
    }
    return found;
}

}  // namespace

TEST_CASE("aml: integers take the shortest form") {
    CHECK(aml::integer(0) == Bytes{0x00});
    CHECK(aml::integer(1) == Bytes{0x01});
    CHECK(aml::integer(2) == Bytes{0x0A, 2});
    CHECK(aml::integer(0x1234) == Bytes{0x0B, 0x34, 0x12});
    CHECK(aml::integer(0x12345678) == Bytes{0x0C, 0x78, 0x56, 0x34, 0x12});
    CHECK(aml::integer(0x123456789) == Bytes{0x0E, 0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0});
}

TEST_CASE("aml: names, strings, EISA ids") {
    CHECK(aml::name("\\_S5", aml::integer(0)) == Bytes{0x08, '\\', '_', 'S', '5', '_', 0});
    CHECK(aml::name("A.BC", aml::integer(1)) == Bytes{0x08, 0x2E, 'A', '_', '_', '_', 'B', 'C', '_', '_', 1});
    CHECK(aml::name("A.B.C", aml::integer(1)) ==
          Bytes{0x08, 0x2F, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_', 1});
    CHECK(aml::string("hi") == Bytes{0x0D, 'h', 'i', 0});
    CHECK(aml::eisa_id("PNP0A03") == Bytes{0x0C, 0x41, 0xD0, 0x0A, 0x03});  // as in every PC's DSDT
    CHECK(aml::eisa_id("PNP0501") == Bytes{0x0C, 0x41, 0xD0, 0x05, 0x01});
}

TEST_CASE("aml: package lengths count themselves, in one, two and three bytes") {
    CHECK(aml::buffer(Bytes(3, 7)) == Bytes{0x11, 6, 0x0A, 3, 7, 7, 7});
    Bytes one = aml::buffer(Bytes(60, 0));  // 2 + 60 + 1: 63, the most for one byte
    CHECK(one[1] == 63);
    CHECK(one.size() == 64);
    Bytes two = aml::buffer(Bytes(61, 0));
    CHECK(two[1] == (0x40 | (65 & 15)));
    CHECK(two[2] == 65 >> 4);
    CHECK(two.size() == 66);
    Bytes most = aml::buffer(Bytes(4090, 0));  // 3 + 4090 + 2 = 4095
    CHECK(most[1] == (0x40 | 0xF));
    CHECK(most[2] == 0xFF);
    Bytes three = aml::buffer(Bytes(4091, 0));  // 3 + 4091 + 3 = 4097
    CHECK(three[1] == (0x80 | 1));
    CHECK(three[2] == 0x00);
    CHECK(three[3] == 0x01);
    CHECK(aml::package({aml::integer(0), aml::integer(5)}) == Bytes{0x12, 5, 2, 0, 0x0A, 5});
    CHECK(aml::device("D", {aml::integer(1)}) == Bytes{0x5B, 0x82, 6, 'D', '_', '_', '_', 1});
}

TEST_CASE("aml: resource descriptors") {
    CHECK(aml::io_port(0x3F8, 8) == Bytes{0x47, 1, 0xF8, 3, 0xF8, 3, 1, 8});
    CHECK(aml::irq(4) == Bytes{0x22, 0x10, 0x00});
    CHECK(aml::irq(12) == Bytes{0x22, 0x00, 0x10});
    CHECK(aml::memory_fixed(0xFED00000, 0x400) == Bytes{0x86, 9, 0, 1, 0, 0, 0xD0, 0xFE, 0, 4, 0, 0});
    CHECK(aml::io_window(0xD00, 0xFFFF) ==
          Bytes{0x88, 13, 0, 1, 0x0C, 3, 0, 0, 0x00, 0x0D, 0xFF, 0xFF, 0, 0, 0x00, 0xF3});
    Bytes window = aml::memory_window(0xC0000000, 0xFEBFFFFF, false);
    CHECK(window.size() == 26);
    CHECK(get<u16>(window, 1) == 23);
    CHECK(get<u32>(window, 22) == 0x3EC00000);
    CHECK(aml::resources({aml::irq(1)}) == Bytes{0x11, 8, 0x0A, 5, 0x22, 2, 0, 0x79, 0});
}

TEST_CASE("acpi: from the RSDP every table is found, and every checksum is right") {
    constexpr u32 kBase = 0xF2000;
    AcpiBlob blob = build_acpi({.vcpus = 3});
    std::vector<u8> bytes = link_acpi(blob, kBase);
    auto tables = walk_tables(make_rsdp(kBase + blob.rsdt), bytes, kBase);
    REQUIRE(tables.size() == 3);
    u32 fadt = tables.at("FACP");
    CHECK(get<u32>(bytes, fadt + 4) == 244);
    u32 facs = get<u32>(bytes, fadt + 36) - kBase, dsdt = get<u32>(bytes, fadt + 40) - kBase;
    CHECK(text(bytes, facs, 4) == "FACS");
    CHECK((facs + kBase) % 64 == 0);
    CHECK(text(bytes, dsdt, 4) == "DSDT");
    CHECK(sum(bytes, dsdt, get<u32>(bytes, dsdt + 4)) == 0);
    CHECK(get<u64>(bytes, fadt + 140) == kBase + dsdt);
    CHECK(get<u16>(bytes, fadt + 46) == pc::kSciIrq);
    CHECK(get<u32>(bytes, fadt + 56) == pc::kPmBase);
    CHECK(get<u32>(bytes, fadt + 64) == pc::kPmBase + 4u);
    CHECK(get<u32>(bytes, fadt + 76) == pc::kPmBase + 8u);
    CHECK(get<u64>(bytes, fadt + 116 + 4) == 0xCF9);  // the reset register
    CHECK(get<u64>(bytes, tables.at("HPET") + 44) == pc::kHpetAddress);
}

TEST_CASE("acpi: the MADT lists processors, the IOAPIC, and the overrides of PIT and SCI") {
    AcpiBlob blob = build_acpi({.vcpus = 64});
    std::vector<u8> bytes = link_acpi(blob, 0);
    u32 madt = walk_tables(make_rsdp(blob.rsdt), bytes, 0).at("APIC"), end = madt + get<u32>(bytes, madt + 4);
    unsigned processors = 0, ioapics = 0;
    std::map<u8, std::pair<u32, u16>> overrides;
    for (u32 at = madt + 44; at < end; at += bytes[at + 1]) {
        REQUIRE(bytes[at + 1] >= 2);
        if (bytes[at] == 0) {
            CHECK(bytes[at + 3] == processors++);
            CHECK(get<u32>(bytes, at + 4) == 1);
        }
        if (bytes[at] == 1 && get<u32>(bytes, at + 4) == 0xFEC00000) ++ioapics;
        if (bytes[at] == 2) overrides[bytes[at + 3]] = {get<u32>(bytes, at + 4), get<u16>(bytes, at + 8)};
    }
    CHECK(processors == 64);
    CHECK(ioapics == 1);
    CHECK(overrides.at(0) == std::pair<u32, u16>(2, 0));
    CHECK(overrides.at(9) == std::pair<u32, u16>(9, 0x0D));  // level, active high
    CHECK(overrides.at(10).second == 0x0D);
    CHECK(overrides.at(11).second == 0x0D);
}

TEST_CASE("acpi: a guest that runs the loader script gets the tables that link_acpi makes") {
    AcpiBlob blob = build_acpi({.vcpus = 2});
    std::vector<u8> rsdp = make_rsdp(blob.rsdt);
    rsdp[8] = 0;
    std::map<std::string, std::vector<u8>> files = {{"etc/acpi/tables", blob.bytes}, {"etc/acpi/rsdp", rsdp}};
    std::map<std::string, u32> places = {{"etc/acpi/tables", 0x7FE0000}, {"etc/acpi/rsdp", 0xF5A40}};
    std::vector<u8> script = acpi_loader_script(blob);
    REQUIRE(script.size() % 128 == 0);
    unsigned allocations = 0;
    for (std::size_t at = 0; at < script.size(); at += 128) {
        auto name = [&](std::size_t offset) {
            return std::string(reinterpret_cast<const char*>(&script[at + offset]));
        };
        u32 command = get<u32>(script, at);
        auto& file = files.at(name(4));
        if (command == 1) {
            ++allocations;
            CHECK(get<u32>(script, at + 60) == (name(4) == "etc/acpi/rsdp" ? 16u : 64u));
        } else if (command == 2) {
            u32 offset = get<u32>(script, at + 116);
            u8 size = script[at + 120];
            u64 value = 0;
            REQUIRE(offset + size <= file.size());
            memcpy(&value, &file[offset], size);
            value += places.at(name(60));
            memcpy(&file[offset], &value, size);
        } else {
            REQUIRE(command == 3);
            u32 where = get<u32>(script, at + 60), first = get<u32>(script, at + 64),
                size = get<u32>(script, at + 68);
            file.at(where) = 0;
            file[where] = static_cast<u8>(-sum(file, first, size));
        }
    }
    CHECK(allocations == 2);
    CHECK(files["etc/acpi/tables"] == link_acpi(blob, 0x7FE0000));
    CHECK(files["etc/acpi/rsdp"] == make_rsdp(0x7FE0000 + blob.rsdt));
}

TEST_CASE("smbios: the entry point is valid and counts what is there") {
    SmbiosMachine machine{u64{3} << 30, 64, {}, "vm"};
    for (u8 i = 0; i < 16; ++i) machine.uuid[i] = i;
    SmbiosTables tables = build_smbios(machine);
    link_smbios(tables, 0xF0040);
    const auto& e = tables.entry_point;
    REQUIRE(e.size() == 31);
    CHECK(text(e, 0, 4) == "_SM_");
    CHECK(text(e, 16, 5) == "_DMI_");
    CHECK(sum(e, 0, 31) == 0);
    CHECK(sum(e, 16, 15) == 0);
    CHECK(get<u32>(e, 24) == 0xF0040);
    CHECK(get<u16>(e, 22) == tables.structures.size());
    auto found = walk_smbios(tables.structures);
    CHECK(get<u16>(e, 28) == found.size());
    CHECK(found.count(4) == 64);
    CHECK(found.count(127) == 1);
    auto& system = found.find(1)->second;
    CHECK(system.strings.at(0) == "Shadowbox");
    for (u8 i = 0; i < 16; ++i) CHECK(tables.structures[system.at + 8 + i] == i);
    auto& cpu = found.find(4)->second;
    CHECK(cpu.strings == std::vector<std::string>{"CPU 0", "Shadowbox"});
    auto& dimm = found.find(17)->second;
    CHECK(get<u16>(tables.structures, dimm.at + 12) == 3072);
    CHECK(get<u32>(tables.structures, found.find(16)->second.at + 7) == 3u << 20);
    CHECK(get<u32>(tables.structures, found.find(19)->second.at + 8) == (3u << 20) - 1);
}

TEST_CASE("smbios: more memory than 16 bits of MiB goes into the extended field") {
    SmbiosTables tables = build_smbios({u64{64} << 30, 1, {}, "vm"});
    auto found = walk_smbios(tables.structures);
    auto& dimm = found.find(17)->second;
    CHECK(get<u16>(tables.structures, dimm.at + 12) == 0x7FFF);
    CHECK(get<u32>(tables.structures, dimm.at + 28) == 65536);
}
