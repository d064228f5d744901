// SPDX-License-Identifier: MIT
// The CPU models by name, and which of them this host can run.
#include "cpu/state/cpu_model.h"

#include <algorithm>
#include <deque>
#include <initializer_list>
#include <mutex>

#include "cpu/state/host_fpu.h"

namespace shadowbox {

namespace {

constexpr u64 features(std::initializer_list<OpFeature> list) {
    u64 bits = 0;
    for (OpFeature feature : list) bits |= u64{1} << static_cast<unsigned>(feature);
    return bits;
}

using enum OpFeature;
constexpr u64 kV2 = features(
    {Base,    X87,        Mmx,     Sse,      Sse2,  Sse3, Ssse3,     Sse41,    Sse42,  Popcnt, Lzcnt,
     Bmi1,    Bmi2,       Adx,     Movbe,    Cx16,  Cx8,  Aes,       Pclmul,   Sha,    Rdrand, Rdseed,
     Clflush, Clflushopt, Clwb,    Rdtscp,   Rdpid, Fxsr, Xsave,     Xsaveopt, Xsavec, Xsaves, Fsgsbase,
     Smap,    Invpcid,    Syscall, Sysenter, Pku,   Cmov, Prefetchw, Lm});
constexpr u64 kAvxFamily = features({Avx, Avx2, Fma, F16c});
constexpr u64 kV3 = kV2 | kAvxFamily;
/// The plainest 64-bit processor, as QEMU's model of that name.
constexpr u64 kQemu64 = features(
    {Base, X87, Mmx, Sse, Sse2, Sse3, Cx16, Cx8, Clflush, Fxsr, Syscall, Sysenter, Cmov, Prefetchw, Lm});

/// Features by QEMU's and Linux's names, and what falls with them.
struct NamedFeature {
    std::string_view name, other_name;
    OpFeature feature;
    u64 leaning = 0;
};
constexpr NamedFeature kNamed[] = {
    {"pni", "sse3", Sse3},
    {"ssse3", "ssse3", Ssse3},
    {"sse4.1", "sse4-1", Sse41},
    {"sse4.2", "sse4-2", Sse42},
    {"popcnt", "popcnt", Popcnt},
    {"abm", "lzcnt", Lzcnt},
    {"bmi1", "bmi1", Bmi1},
    {"bmi2", "bmi2", Bmi2},
    {"adx", "adx", Adx},
    {"movbe", "movbe", Movbe},
    {"cx16", "cx16", Cx16},
    {"aes", "aes", Aes},
    {"pclmulqdq", "pclmuldq", Pclmul},
    {"sha-ni", "sha_ni", Sha},
    {"rdrand", "rdrand", Rdrand},
    {"rdseed", "rdseed", Rdseed},
    {"clflushopt", "clflushopt", Clflushopt},
    {"clwb", "clwb", Clwb},
    {"rdtscp", "rdtscp", Rdtscp},
    {"rdpid", "rdpid", Rdpid},
    {"xsave", "xsave", Xsave, features({Xsaveopt, Xsavec, Xsaves, Pku}) | kAvxFamily},
    {"xsaveopt", "xsaveopt", Xsaveopt},
    {"xsavec", "xsavec", Xsavec},
    {"xsaves", "xsaves", Xsaves},
    {"fsgsbase", "fsgsbase", Fsgsbase},
    {"smap", "smap", Smap},
    {"invpcid", "invpcid", Invpcid},
    {"pku", "pku", Pku},
    {"3dnowprefetch", "prefetchw", Prefetchw},
    {"avx", "avx", Avx, kAvxFamily},
    {"avx2", "avx2", Avx2},
    {"fma", "fma", Fma},
    {"f16c", "f16c", F16c},
};
/// Always there, and asked for or away again on many a command line of QEMU's.
constexpr std::string_view kAlwaysThere[] = {"hypervisor",   "x2apic",
                                             "pcid",         "tsc-deadline",
                                             "tsc_deadline", "invtsc",
                                             "smep",         "umip",
                                             "la57",         "erms",
                                             "fsrm",         "nx",
                                             "pdpe1gb",      "pge",
                                             "pat",          "mtrr",
                                             "apic",         "tsc",
                                             "msr",          "pae",
                                             "pse",          "pse36",
                                             "vme",          "de",
                                             "mce",          "mca",
                                             "fpu",          "mmx",
                                             "sse",          "sse2",
                                             "fxsr",         "cx8",
                                             "cmov",         "sep",
                                             "clflush",      "syscall",
                                             "lm",           "arch-capabilities",
                                             "spec-ctrl",    "stibp",
                                             "ssbd",         "tsc_adjust",
                                             "tsc-adjust",   "arat"};
constexpr std::string_view kNeverThere[] = {
    "vmx",        "svm",         "monitor",    "hle",       "rtm",      "kvm",      "kvmclock", "kvm-clock",
    "migratable", "pmu",         "sse4a",      "xop",       "fma4",     "tbm",      "ibpb",     "ssb-no",
    "mpx",        "vaes",        "vpclmulqdq", "gfni",      "avx-vnni", "lahf_lm",  "lahf-lm",  "topoext",
    "cr8legacy",  "misalignsse", "mmxext",     "3dnow",     "3dnowext", "fxsr-opt", "md-clear", "waitpkg",
    "ht",         "ss",          "ds",         "acpi",      "tm",       "pbe",      "dtes64",   "dca",
    "xtpr",       "pdcm",        "avx512f",    "avx512bw",  "avx512cd", "avx512dq", "avx512vl", "avx512vnni",
    "amx-tile",   "serialize",   "movdiri",    "movdir64b", "cldemote"};

/// AVX ops are the host's own, with no portable form behind them.
std::string missing_for_v3() {
    struct Need {
        bool there;
        const char* name;
    };
    const HostFeatures& host = kHostFeatures;
    std::string names;
    for (Need need : {Need{host.avx, "AVX"},
                      {host.avx2, "AVX2"},
                      {host.fma, "FMA"},
                      {host.f16c, "F16C"},
                      {host.aes, "AES"},
                      {host.pclmul, "PCLMULQDQ"}}) {
        if (!need.there) names += (names.empty() ? "" : ", ") + std::string(need.name);
    }
    return names;
}

template <class Names>
bool among(const Names& names, std::string_view name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// "+f", "-f", "f", "f=on", "f=off".
Expected<void> change_feature(u64& bits, std::string_view item, std::string* not_done) {
    bool on = true;
    std::string_view name = item;
    if (name.starts_with('+') || name.starts_with('-')) {
        on = name[0] == '+';
        name.remove_prefix(1);
    } else if (std::size_t equals = name.find('='); equals != std::string_view::npos) {
        std::string_view value = name.substr(equals + 1);
        name = name.substr(0, equals);
        if (value != "on" && value != "off")
            return make_error(ErrorCode::kInvalidArgument, "'{}': write {}=on or {}=off", item, name, name);
        on = value == "on";
    }
    for (const NamedFeature& row : kNamed) {
        if (name != row.name && name != row.other_name) continue;
        u64 bit = features({row.feature});
        bits = on ? bits | bit : bits & ~(bit | row.leaning);
        if (on && (bit & kAvxFamily)) bits |= features({Avx, Xsave});
        return {};
    }
    bool always = among(kAlwaysThere, name), never = among(kNeverThere, name);
    if (!always && !never)
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': no CPU feature has this name; -cpu help lists them", name);
    if (not_done && on != always)
        *not_done += fmt::format("{}CPU feature {} is {} here", not_done->empty() ? "" : ", ", name,
                                 always ? "always there" : "not there");
    return {};
}

/// A model of its own for each set of features that was asked for; they live as long as the process.
const CpuModel& model_with(std::string_view base, u64 bits) {
    static std::mutex mutex;
    static std::deque<CpuModel> models;
    std::lock_guard lock(mutex);
    for (const CpuModel& model : models)
        if (model.name == base && model.features == bits) return model;
    return models.emplace_back(CpuModel{base, bits});
}

Expected<const CpuModel*> find_base(std::string_view name, bool same_everywhere) {
    if (name == "v2" || (name.empty() && same_everywhere)) return &cpu_model_v2();
    if (name == "v3") return &cpu_model_v3();
    if (name == "qemu64" || name == "kvm64") return &model_with("qemu64", kQemu64);
    if (name == "max" || name == "host" || name.empty())
        return host_runs_v3() ? &cpu_model_v3() : &cpu_model_v2();
    return make_error(ErrorCode::kInvalidArgument, "'{}' is not a CPU model: {}", name, kCpuModelNames);
}

}  // namespace

const CpuModel& cpu_model_v2() {
    static const CpuModel model{"v2", kV2};
    return model;
}

const CpuModel& cpu_model_v3() {
    static const CpuModel model{"v3", kV3};
    return model;
}

bool host_runs_v3() { return missing_for_v3().empty(); }

std::string cpu_feature_names() {
    std::string names;
    for (const NamedFeature& row : kNamed) names += fmt::format("{}{}", names.empty() ? "" : " ", row.name);
    return names;
}

Expected<const CpuModel*> find_cpu_model(std::string_view name, bool same_everywhere, std::string* not_done) {
    std::size_t comma = std::min(name.find(','), name.size());
    auto base = find_base(name.substr(0, comma), same_everywhere);
    if (!base) return base;
    const CpuModel* model = *base;
    u64 bits = model->features;
    while (comma < name.size()) {
        std::size_t end = std::min(name.find(',', comma + 1), name.size());
        if (auto ok = change_feature(bits, name.substr(comma + 1, end - comma - 1), not_done); !ok)
            return tl::unexpected(ok.error());
        comma = end;
    }
    if ((bits & kAvxFamily) && !host_runs_v3())
        return make_error(ErrorCode::kUnsupported,
                          "CPU model {} needs a host processor with {}; v2 runs on every host", name,
                          missing_for_v3());
    return bits == model->features ? model : &model_with(model->name, bits);
}

}  // namespace shadowbox
