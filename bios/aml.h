// SPDX-License-Identifier: MIT
// Just enough of an AML assembler to write our DSDT (ACPI 6.4 chapter 20). Terms are byte strings that nest.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "core/integers.h"

namespace shadowbox::aml {

using Bytes = std::vector<u8>;

Bytes integer(u64 value);
Bytes string(std::string_view text);
/// "PNP0A03" as the compressed EISA number.
Bytes eisa_id(std::string_view id);
Bytes buffer(const Bytes& content);
Bytes package(std::initializer_list<Bytes> elements);
Bytes package(const std::vector<Bytes>& elements);
/// Name(\_S5, value): `path` is a name string as ASL writes it, parts of four characters ("_SB",
/// "\\_SB.PCI0").
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, std::initializer_list<Bytes> terms);
Bytes device(std::string_view path, const std::vector<Bytes>& terms);

// Resource descriptors (ACPI 6.4 6.4), to be joined by resources().
Bytes io_port(u16 first, u8 count);
Bytes irq(unsigned number);
Bytes memory_fixed(u32 first, u32 size);
Bytes bus_numbers(u16 first, u16 last);
Bytes io_window(u16 first, u16 last);
Bytes memory_window(u32 first, u32 last, bool cacheable);
Bytes resources(std::initializer_list<Bytes> descriptors);

}  // namespace shadowbox::aml
