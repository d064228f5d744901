// SPDX-License-Identifier: MIT
// -smp, -cpu, -rtc, -uuid, -vga, -nodefaults: what PC a guest finds.
#include <bit>
#include <ctime>

#include "cpu/state/cpu_model.h"
#include "ui/options/key_values.h"
#include "ui/options/option_setters.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

constexpr u64 kMostVcpus = 64;

/// "2006-06-17T16:01:21" or "2006-06-17", as UTC.
std::optional<i64> parse_date(const std::string& text) {
    std::tm when{};
    const char* end =
        strptime(text.c_str(), text.find('T') == std::string::npos ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%S", &when);
    if (!end || *end) return std::nullopt;
    const int day = when.tm_mday;
    i64 seconds = timegm(&when);  // makes a 2nd of March of the 30th of February
    return seconds < 0 || when.tm_mday != day ? std::nullopt : std::optional<i64>(seconds);
}

}  // namespace

Expected<void> set_vcpus(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    std::string count = values.take("cpus").value_or(values.word());
    constexpr u64 kNotGiven = ~u64{0};
    u64 parts[5] = {};  // 0: not given
    bool given[5] = {};
    static constexpr const char* kParts[5] = {"sockets", "dies", "cores", "threads", "maxcpus"};
    for (unsigned i = 0; i < 5; ++i) {
        auto number = values.take_number(kParts[i], kNotGiven, kMostVcpus);
        if (!number) return tl::unexpected(number.error());
        given[i] = *number != kNotGiven;
        if (given[i]) parts[i] = *number;
    }
    for (unsigned i = 0; i < 5; ++i)
        if (given[i] && parts[i] == 0)
            return make_error(ErrorCode::kInvalidArgument, "'{}': {} must be at least 1", value, kParts[i]);
    if (auto ok = values.finish("-smp", "cpus, sockets, dies, cores, threads, maxcpus"); !ok) return ok;
    auto [sockets, dies, cores, threads, most] = parts;
    u64 product = std::max<u64>(1, sockets) * std::max<u64>(1, dies) * std::max<u64>(1, cores) *
                  std::max<u64>(1, threads);
    auto number = count.empty() ? Expected<u64>(most ? most : product) : parse_number(count);
    if (!number) return tl::unexpected(number.error());
    if (*number < 1 || *number > kMostVcpus)
        return make_error(ErrorCode::kInvalidArgument, "'{}': a guest has 1 to {} CPUs", value, kMostVcpus);
    machine.vcpus = static_cast<unsigned>(*number);
    machine.threads_per_core = 1, machine.cores_per_socket = 0;
    if (most > *number)
        machine.notes.push_back(
            fmt::format("-smp: no CPU can be added later, so maxcpus={} is {}", most, *number));
    if (!sockets && !cores && !threads && dies < 2) return {};
    // What was not given: as many cores as it takes, in one socket (QEMU 6.2 and up).
    u64 per_core = std::max<u64>(1, threads), per_die = std::max<u64>(1, dies);
    u64 packages = sockets ? sockets : cores ? std::max<u64>(1, *number / (per_die * cores * per_core)) : 1;
    u64 per_package = cores ? cores * per_die : std::max<u64>(1, *number / (packages * per_core));
    u64 all = packages * per_package * per_core;
    if (all != (most ? std::max(most, *number) : *number))
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': {} sockets of {} cores of {} threads are {} CPUs, not {}", value, packages,
                          per_package, per_core, all, *number);
    if (dies > 1)
        machine.notes.push_back("-smp: dies are not told to the guest, their cores are in one package");
    // APIC ids follow each other, so only powers of two fall into fields of their bits.
    if (!std::has_single_bit(per_core) || (packages > 1 && !std::has_single_bit(per_package * per_core))) {
        machine.notes.push_back(
            fmt::format("-smp: the guest finds {} single-threaded cores in one package: threads and "
                        "CPUs of a socket must be powers of two",
                        *number));
        return {};
    }
    machine.threads_per_core = static_cast<unsigned>(per_core);
    machine.cores_per_socket = static_cast<unsigned>(per_package);
    return {};
}

Expected<void> set_cpu(MachineConfig& machine, const std::string& value) {
    if (value.empty() || value[0] == ',')
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': the name of the CPU model is missing; known: {}", value, kCpuModelNames);
    std::string not_done;
    if (auto model = find_cpu_model(value, false, &not_done); !model) return tl::unexpected(model.error());
    if (!not_done.empty()) machine.notes.push_back("-cpu: " + not_done);
    machine.cpu_model = value;
    return {};
}

Expected<void> set_rtc(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, false);
    machine.rtc = {};
    std::string base = values.take("base").value_or("utc"), clock = values.take("clock").value_or("vm"),
                drift = values.take("driftfix").value_or("none");
    if (auto ok = values.finish("-rtc", "base, clock, driftfix"); !ok) return ok;
    machine.rtc.local_time = base == "localtime";
    if (base != "utc" && base != "localtime" && !(machine.rtc.start = parse_date(base)))
        return make_error(ErrorCode::kInvalidArgument,
                          "base={}: write utc, localtime, 2006-06-17 or 2006-06-17T16:01:21", base);
    if (clock != "vm" && clock != "host" && clock != "rt")
        return make_error(ErrorCode::kInvalidArgument, "clock={}: known: vm, host, rt", clock);
    if (drift != "none" && drift != "slew")
        return make_error(ErrorCode::kInvalidArgument, "driftfix={}: known: none, slew", drift);
    if (clock != "vm")
        machine.notes.push_back(
            fmt::format("-rtc clock={}: the guest's clock stands still while it is paused", clock));
    if (drift != "none")
        machine.notes.push_back(
            "-rtc driftfix=slew: interrupts of the clock that come late are not made up for");
    return {};
}

Expected<void> set_trust_group(MachineConfig& machine, const std::string& value) {
    machine.trust_group = value;
    return {};
}

Expected<void> set_uuid(MachineConfig& machine, const std::string& value) {
    std::array<u8, 16> uuid{};
    std::string digits;
    for (std::size_t i = 0; i < value.size(); ++i) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (value[i] == '-') || (!dash && !isxdigit(static_cast<unsigned char>(value[i])))) break;
        if (!dash) digits += value[i];
    }
    if (value.size() != 36 || digits.size() != 32)
        return make_error(ErrorCode::kInvalidArgument, "'{}': write 550e8400-e29b-41d4-a716-446655440000",
                          value);
    for (unsigned i = 0; i < 16; ++i)
        uuid[i] = static_cast<u8>(std::stoul(digits.substr(2 * i, 2), nullptr, 16));
    machine.uuid = uuid;
    return {};
}

Expected<void> set_vga(MachineConfig& machine, const std::string& value) {
    if (value != "std" && value != "none")
        return make_error(ErrorCode::kInvalidArgument, "'{}': no such display adapter; known: std, none",
                          value);
    machine.vga = value == "std";
    machine.vga_given = true;
    return {};
}

Expected<void> set_no_defaults(MachineConfig& machine, const std::string&) {
    machine.no_defaults = true;
    return {};
}
Expected<void> set_no_shutdown(MachineConfig& machine, const std::string&) {
    machine.no_shutdown = true;
    return {};
}

}  // namespace shadowbox
