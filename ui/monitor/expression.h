// SPDX-License-Identifier: MIT
// Integer expressions of monitor commands: numbers, $registers, + - * / % & | ^ ~ and parentheses, 64 bits,
// no spaces needed.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

class Vcpu;

using RegisterLookup = std::function<std::optional<u64>(std::string_view name)>;

/// All of `text` is the expression.
Expected<u64> evaluate(std::string_view text, const RegisterLookup& lookup);
/// Reads registers of a vCPU that stands still: rax to r15, their 32-bit names, rip, eip, pc, rflags,
/// segments, cr0..., dr0...
RegisterLookup registers_of(const Vcpu& vcpu);

}  // namespace shadowbox
