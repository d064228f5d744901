// SPDX-License-Identifier: MIT
// The address and page-number words of the project, each its own type (Xen's typesafe.h is the model):
//   Gva  linear address (after segmentation)      Vpn  its page
//   Gpa  guest-physical address                   Ppn  its page
//   Mpn  machine page number, an index into the host's MachinePool
// No implicit conversion between them or to integers.
#pragma once

#include <fmt/format.h>

#include <compare>

#include "core/integers.h"

namespace shadowbox {

constexpr unsigned kPageShift = 12;
constexpr u64 kPageSize = u64{1} << kPageShift;
constexpr u64 kPageOffsetMask = kPageSize - 1;
constexpr unsigned kPagesPerLarge = 512;  ///< 4 KiB pages in a 2 MiB page

/// Guest-physical address width offered to guests (CPUID 80000008H).
constexpr unsigned kPhysicalBits = 40;

namespace detail {
template <class Self>
struct Counted {
    u64 value = 0;
    constexpr Counted() = default;
    constexpr explicit Counted(u64 v) : value(v) {}
    friend constexpr Self operator+(Self a, u64 n) { return Self(a.value + n); }
    friend constexpr Self operator-(Self a, u64 n) { return Self(a.value - n); }
    friend constexpr u64 operator-(Self a, Self b) { return a.value - b.value; }
    friend constexpr auto operator<=>(Self a, Self b) { return a.value <=> b.value; }
    friend constexpr bool operator==(Self a, Self b) { return a.value == b.value; }
    constexpr Self& operator+=(u64 n) {
        value += n;
        return static_cast<Self&>(*this);
    }
    constexpr Self& operator++() {
        ++value;
        return static_cast<Self&>(*this);
    }
};
}  // namespace detail

struct Vpn : detail::Counted<Vpn> {
    using Counted::Counted;
};
struct Ppn : detail::Counted<Ppn> {
    using Counted::Counted;
};
struct Mpn : detail::Counted<Mpn> {
    using Counted::Counted;
};

struct Gva : detail::Counted<Gva> {
    using Counted::Counted;
    constexpr u64 offset() const { return value & kPageOffsetMask; }
    constexpr Vpn vpn() const { return Vpn(value >> kPageShift); }
};
struct Gpa : detail::Counted<Gpa> {
    using Counted::Counted;
    constexpr u64 offset() const { return value & kPageOffsetMask; }
    constexpr Ppn ppn() const { return Ppn(value >> kPageShift); }
};

constexpr Gva start_of(Vpn vpn) { return Gva(vpn.value << kPageShift); }
constexpr Gpa start_of(Ppn ppn) { return Gpa(ppn.value << kPageShift); }

constexpr Vpn kInvalidVpn{~u64{0}};
constexpr Ppn kInvalidPpn{~u64{0}};
constexpr Mpn kInvalidMpn{~u64{0}};

}  // namespace shadowbox

#define SHADOWBOX_PAGE_FORMATTER(Type, prefix)                                   \
    template <>                                                                  \
    struct fmt::formatter<shadowbox::Type> : fmt::formatter<fmt::string_view> {  \
        template <class Context>                                                 \
        auto format(shadowbox::Type number, Context& context) const {            \
            return fmt::format_to(context.out(), prefix "0x{:x}", number.value); \
        }                                                                        \
    };
SHADOWBOX_PAGE_FORMATTER(Gva, "gva ")
SHADOWBOX_PAGE_FORMATTER(Gpa, "gpa ")
SHADOWBOX_PAGE_FORMATTER(Vpn, "vpn ")
SHADOWBOX_PAGE_FORMATTER(Ppn, "ppn ")
SHADOWBOX_PAGE_FORMATTER(Mpn, "mpn ")
#undef SHADOWBOX_PAGE_FORMATTER
