// SPDX-License-Identifier: MIT
#include "bios/aml.h"

#include <algorithm>
#include <string>

namespace shadowbox::aml {

namespace {

void append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }
void little(Bytes& to, u64 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) to.push_back(static_cast<u8>(value >> (8 * i)));
}

/// PkgLength counts itself (ACPI 6.4 20.2.4).
Bytes with_length(const Bytes& body) {
    Bytes out;
    std::size_t size = body.size() + 1;
    if (size < 0x40) {
        out.push_back(static_cast<u8>(size));
    } else {
        unsigned extra = size + 1 < 0x1000 ? 1 : 2;
        size += extra;
        out.push_back(static_cast<u8>(extra << 6 | (size & 15)));
        for (unsigned i = 0; i < extra; ++i) out.push_back(static_cast<u8>(size >> (4 + 8 * i)));
    }
    append(out, body);
    return out;
}

Bytes name_string(std::string_view path) {
    Bytes out;
    if (!path.empty() && path[0] == '\\') {
        out.push_back('\\');
        path.remove_prefix(1);
    }
    std::vector<std::string> parts;
    while (!path.empty()) {
        std::size_t dot = path.find('.');
        std::string part(path.substr(0, dot));
        part.resize(4, '_');
        parts.push_back(part);
        path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    if (parts.empty()) out.push_back(0);
    if (parts.size() == 2) out.push_back(0x2E);
    if (parts.size() > 2) {
        out.push_back(0x2F);
        out.push_back(static_cast<u8>(parts.size()));
    }
    for (const std::string& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

Bytes block(std::initializer_list<u8> opcode, std::string_view path, const std::vector<Bytes>& terms) {
    Bytes body = name_string(path), out(opcode);
    for (const Bytes& term : terms) append(body, term);
    append(out, with_length(body));
    return out;
}

/// Address space descriptors share a layout: type, flags, then granularity, minimum, maximum, translation,
/// length.
Bytes window(u8 tag, unsigned field_size, u8 type, u8 general, u8 specific, u64 first, u64 last) {
    Bytes out = {tag};
    little(out, 3 + 5 * field_size, 2);
    out.push_back(type);
    out.push_back(general);
    out.push_back(specific);
    little(out, 0, field_size);
    little(out, first, field_size);
    little(out, last, field_size);
    little(out, 0, field_size);
    little(out, last - first + 1, field_size);
    return out;
}
constexpr u8 kFixedRange = 0x0C;  // minimum and maximum are fixed, positive decode

}  // namespace

Bytes integer(u64 value) {
    if (value == 0) return {0x00};
    if (value == 1) return {0x01};
    Bytes out;
    unsigned size = value <= 0xFF ? 1 : value <= 0xFFFF ? 2 : value <= 0xFFFFFFFF ? 4 : 8;
    out.push_back(size == 1 ? 0x0A : size == 2 ? 0x0B : size == 4 ? 0x0C : 0x0E);
    little(out, value, size);
    return out;
}
Bytes string(std::string_view text) {
    Bytes out(text.size() + 2);  // and the closing zero
    out[0] = 0x0D;
    std::copy(text.begin(), text.end(), out.begin() + 1);
    return out;
}
Bytes eisa_id(std::string_view id) {
    auto hex = [](char c) { return static_cast<u32>(c <= '9' ? c - '0' : c - 'A' + 10); };
    u32 letters = static_cast<u32>(id[0] - 0x40) << 10 | static_cast<u32>(id[1] - 0x40) << 5 |
                  static_cast<u32>(id[2] - 0x40);
    u32 number = hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
    Bytes out = {0x0C};
    out.push_back(static_cast<u8>(letters >> 8));
    out.push_back(static_cast<u8>(letters));
    out.push_back(static_cast<u8>(number >> 8));
    out.push_back(static_cast<u8>(number));
    return out;
}
Bytes buffer(const Bytes& content) {
    Bytes body = integer(content.size()), out = {0x11};
    append(body, content);
    append(out, with_length(body));
    return out;
}
Bytes package(const std::vector<Bytes>& elements) {
    Bytes body = {static_cast<u8>(elements.size())}, out = {0x12};
    for (const Bytes& element : elements) append(body, element);
    append(out, with_length(body));
    return out;
}
Bytes package(std::initializer_list<Bytes> elements) { return package(std::vector<Bytes>(elements)); }
Bytes name(std::string_view path, const Bytes& value) {
    Bytes out = {0x08};
    append(out, name_string(path));
    append(out, value);
    return out;
}
Bytes scope(std::string_view path, std::initializer_list<Bytes> terms) { return block({0x10}, path, terms); }
Bytes device(std::string_view path, const std::vector<Bytes>& terms) {
    return block({0x5B, 0x82}, path, terms);
}

Bytes io_port(u16 first, u8 count) {
    Bytes out = {0x47, 0x01};
    little(out, first, 2);
    little(out, first, 2);
    out.push_back(1);
    out.push_back(count);
    return out;
}
Bytes irq(unsigned number) {
    Bytes out = {0x22};
    little(out, 1u << number, 2);
    return out;
}
Bytes memory_fixed(u32 first, u32 size) {
    Bytes out = {0x86, 9, 0, 1};
    little(out, first, 4);
    little(out, size, 4);
    return out;
}
Bytes bus_numbers(u16 first, u16 last) { return window(0x88, 2, 2, kFixedRange, 0, first, last); }
Bytes io_window(u16 first, u16 last) { return window(0x88, 2, 1, kFixedRange, 3, first, last); }
Bytes memory_window(u32 first, u32 last, bool cacheable) {
    return window(0x87, 4, 0, kFixedRange, cacheable ? 3 : 1, first, last);
}
Bytes resources(std::initializer_list<Bytes> descriptors) {
    Bytes all;
    for (const Bytes& descriptor : descriptors) append(all, descriptor);
    all.push_back(0x79);
    all.push_back(0);
    return buffer(all);
}

}  // namespace shadowbox::aml
