// SPDX-License-Identifier: MIT
// x, xp, print, gva2gpa, memsave, pmemsave. Memory is peeked at: nothing becomes resident by looking.
#include <array>
#include <cstring>

#include "core/host/file.h"
#include "cpu/state/vcpu.h"
#include "ui/monitor/commands.h"
#include "ui/monitor/disassembly.h"
#include "ui/monitor/expression.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

constexpr u64 kMostUnits = 1 << 20;

/// Applies "10xw" to the format kept from before.
Expected<void> parse_format(std::string_view text, MemoryFormat& format) {
    std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    format.count = 1;
    if (digits) {
        auto count = parse_number(text.substr(0, digits), kMostUnits);
        if (!count) return tl::unexpected(count.error());
        format.count = *count;
    }
    for (char c : text.substr(digits)) {
        switch (c) {
            case 'x':
            case 'd':
            case 'u':
            case 'o':
            case 'c':
            case 'i': format.letter = c; break;
            case 'b': format.size = 1; break;
            case 'h': format.size = 2; break;
            case 'w': format.size = 4; break;
            case 'g': format.size = 8; break;
            default:
                return make_error(ErrorCode::kInvalidArgument,
                                  "'/{}': write a count, one of x d u o c i, and one of b h w g", text);
        }
    }
    return {};
}

std::string show_value(u64 value, const MemoryFormat& format) {
    unsigned unused = 64 - 8 * format.size;
    i64 with_sign = static_cast<i64>(value << unused) >> unused;
    switch (format.letter) {
        case 'd': return fmt::format("{}", with_sign);
        case 'u': return fmt::format("{}", value);
        case 'o': return fmt::format("0{:o}", value);
        case 'c': {
            u8 c = static_cast<u8>(value);
            return c >= 32 && c < 127 ? fmt::format("'{}'", static_cast<char>(c))
                                      : fmt::format("'\\x{:02x}'", c);
        }
        default: return fmt::format("0x{:0{}x}", value, format.size * 2);
    }
}

/// Reads a stretch of one of the two address spaces; false where there is no memory.
using Peek = std::function<bool(u64 where, std::span<u8> to)>;

bool peek_linear(Monitor& monitor, u64 where, std::span<u8> to) {
    const PagingControl& control = monitor.vcpu().mmu.control();
    while (!to.empty()) {
        Gva gva(where);
        std::size_t piece = std::min<std::size_t>(to.size(), kPageSize - gva.offset());
        if (!is_canonical(where, control.cr4) && monitor.vcpu().long_mode()) return false;
        WalkResult walk = peek_translation(control, monitor.vm().memory(), gva);
        if (!walk ||
            !monitor.vm().memory().peek(Gpa(start_of(walk->ppn).value + gva.offset()), to.first(piece)))
            return false;
        to = to.subspan(piece);
        where += piece;
    }
    return true;
}

/// `where` counts from the pool's first page.
bool peek_machine(Monitor& monitor, u64 where, std::span<u8> to) {
    MachinePool& pool = monitor.control().host().pool();
    while (!to.empty()) {
        Mpn mpn(where / kPageSize);
        std::size_t offset = where % kPageSize, piece = std::min<std::size_t>(to.size(), kPageSize - offset);
        if (!page_in_use(pool, mpn)) return false;
        std::memcpy(to.data(), pool.host(mpn) + offset, piece);
        to = to.subspan(piece);
        where += piece;
    }
    return true;
}

std::string dump_units(const Peek& peek, u64 where, const MemoryFormat& format) {
    std::string out;
    unsigned per_line = format.letter == 'c' ? 8 : 16 / format.size;
    unsigned size = format.letter == 'c' ? 1 : format.size;
    MemoryFormat unit = format;
    unit.size = size;
    for (u64 i = 0; i < format.count; ++i, where += size) {
        if (i % per_line == 0) out += fmt::format("{}{:016x}:", i ? "\n" : "", where);
        std::array<u8, 8> bytes{};
        if (!peek(where, std::span(bytes).first(size))) return out + " Cannot access memory\n";
        u64 value = 0;
        for (unsigned b = size; b-- > 0;) value = value << 8 | bytes[b];
        out += " " + show_value(value, unit);
    }
    return out + "\n";
}

std::string dump_instructions(const Peek& peek, u64 where, u64 count, unsigned bits) {
    std::string out;
    for (u64 i = 0; i < count; ++i) {
        std::array<u8, 15> bytes{};
        std::size_t got = bytes.size();
        while (got && !peek(where, std::span(bytes).first(got))) --got;
        if (!got) return out + fmt::format("0x{:08x}: Cannot access memory\n", where);
        DisassembledInsn insn = disassemble(std::span(bytes).first(got), where, bits);
        std::string hex;
        for (unsigned b = 0; b < insn.length && b < got; ++b) hex += fmt::format("{:02x} ", bytes[b]);
        out += fmt::format("0x{:08x}:  {:<24} {}\n", where, hex, insn.text);
        where += insn.length;
    }
    return out;
}

Expected<std::string> examine(Monitor& monitor, const MonitorArguments& arguments, bool physical) {
    if (auto ok = parse_format(arguments.format, monitor.format); !ok) return tl::unexpected(ok.error());
    Expected<std::string> result = std::string();
    monitor.vm().while_stopped([&] {
        Vcpu& vcpu = monitor.vcpu();
        // "mpn:MPN+OFFSET": a machine page, whoever it belongs to.
        bool machine = physical && arguments.rest.starts_with("mpn:");
        std::string text = machine ? arguments.rest.substr(4) : arguments.rest;
        std::size_t plus = machine ? text.find('+') : std::string::npos;
        auto where = evaluate(text.substr(0, plus), registers_of(vcpu));
        if (where && machine) {
            auto offset = plus == std::string::npos ? Expected<u64>(0)
                                                    : evaluate(text.substr(plus + 1), registers_of(vcpu));
            if (offset && *where < u64{1} << 40)
                *where = *where * kPageSize + *offset;
            else if (!offset)
                where = offset;
            else
                where =
                    make_error(ErrorCode::kInvalidArgument, "'{}': no machine page has this number", text);
        }
        if (!where) {
            result = tl::unexpected(where.error());
            return;
        }
        Peek peek = [&](u64 at, std::span<u8> to) {
            if (machine) return peek_machine(monitor, at, to);
            return physical ? monitor.vm().memory().peek(Gpa(at), to) : peek_linear(monitor, at, to);
        };
        unsigned bits = vcpu.long64() ? 64 : vcpu.seg[kCs].big() ? 32 : 16;
        result = monitor.format.letter == 'i' ? dump_instructions(peek, *where, monitor.format.count, bits)
                                              : dump_units(peek, *where, monitor.format);
    });
    return result;
}

/// `read` fills one piece; it may not cross a page.
Expected<void> save(u64 first, u64 size, const std::string& file,
                    const std::function<bool(u64, std::span<u8>)>& read) {
    if (size == 0) return make_error(ErrorCode::kInvalidArgument, "the size is 0: nothing to save");
    if (first + size < first)
        return make_error(ErrorCode::kInvalidArgument, "the range goes beyond the end of memory");
    auto out = File::open(file, File::Mode::kCreate);
    if (!out) return tl::unexpected(out.error());
    std::array<u8, kPageSize> page;
    for (u64 done = 0; done < size;) {
        u64 where = first + done;
        std::span<u8> piece = std::span(page).first(std::min(size - done, kPageSize - where % kPageSize));
        if (!read(where, piece))
            return make_error(ErrorCode::kInvalidArgument, "there is no memory at 0x{:x}; {} bytes are saved",
                              where, done);
        if (auto ok = out->write(done, piece); !ok) return ok;
        done += piece.size();
    }
    return {};
}

Expected<std::string> save_command(Monitor& monitor, const MonitorArguments& arguments,
                                   Expected<void> (*run)(Monitor&, u64, u64, const std::string&)) {
    auto first = number_argument(monitor, arguments.word(0)),
         size = number_argument(monitor, arguments.word(1));
    if (!first) return tl::unexpected(first.error());
    if (!size) return tl::unexpected(size.error());
    if (auto ok = run(monitor, *first, *size, arguments.word(2)); !ok) return tl::unexpected(ok.error());
    return std::string();
}

}  // namespace

Expected<u64> number_argument(Monitor& monitor, const std::string& text) {
    Expected<u64> value = 0;
    monitor.vm().while_stopped([&] { value = evaluate(text, registers_of(monitor.vcpu())); });
    return value;
}

Expected<std::string> command_x(Monitor& monitor, const MonitorArguments& arguments) {
    return examine(monitor, arguments, false);
}
Expected<std::string> command_xp(Monitor& monitor, const MonitorArguments& arguments) {
    return examine(monitor, arguments, true);
}

Expected<std::string> command_print(Monitor& monitor, const MonitorArguments& arguments) {
    MemoryFormat format{1, 'x', 8};
    if (auto ok = parse_format(arguments.format, format); !ok) return tl::unexpected(ok.error());
    auto value = number_argument(monitor, arguments.rest);
    if (!value) return tl::unexpected(value.error());
    if (format.letter == 'x' || format.letter == 'i') return fmt::format("0x{:x}\n", *value);
    format.size = 8;
    return show_value(*value, format) + "\n";
}

Expected<std::string> command_gva2gpa(Monitor& monitor, const MonitorArguments& arguments) {
    auto where = number_argument(monitor, arguments.rest);
    if (!where) return tl::unexpected(where.error());
    std::string out = "Unmapped\n";
    monitor.vm().while_stopped([&] {
        if (monitor.vcpu().long_mode() && !is_canonical(*where, monitor.vcpu().cr4)) return;
        WalkResult walk = peek_translation(monitor.vcpu().mmu.control(), monitor.vm().memory(), Gva(*where));
        if (walk) out = fmt::format("gpa: 0x{:x}\n", start_of(walk->ppn).value + Gva(*where).offset());
    });
    return out;
}

Expected<void> save_physical(Monitor& monitor, u64 first, u64 size, const std::string& file) {
    Expected<void> result;
    monitor.vm().while_stopped([&] {
        // Holes read as ones, as a bus does; but beyond the last memory there is nothing to save.
        Ppn last(0);
        monitor.vm().memory().pmap().for_each([&](Ppn ppn, PmapEntry) { last = ppn; });
        u64 end = std::max(start_of(last + 1).value, u64{1} << 32);
        if (first + size > end) {
            result = make_error(ErrorCode::kInvalidArgument,
                                "the range goes beyond the end of memory at 0x{:x}", end);
            return;
        }
        result = save(first, size, file, [&](u64 where, std::span<u8> to) {
            monitor.vm().memory().peek(Gpa(where), to);
            return true;
        });
    });
    return result;
}

Expected<void> save_virtual(Monitor& monitor, u64 first, u64 size, const std::string& file) {
    Expected<void> result;
    monitor.vm().while_stopped([&] {
        result = save(first, size, file,
                      [&](u64 where, std::span<u8> to) { return peek_linear(monitor, where, to); });
    });
    return result;
}

Expected<std::string> command_memsave(Monitor& monitor, const MonitorArguments& arguments) {
    return save_command(monitor, arguments, save_virtual);
}
Expected<std::string> command_pmemsave(Monitor& monitor, const MonitorArguments& arguments) {
    return save_command(monitor, arguments, save_physical);
}

}  // namespace shadowbox
