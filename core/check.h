// SPDX-License-Identifier: MIT
// VM_CHECK: an invariant of ours. On failure prints the place, whatever state providers registered
// themselves, and aborts. Stays on in release builds; never used for what a guest can cause.
#pragma once

#include <functional>
#include <string>

namespace shadowbox {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

/// Adds a text to what check_failed prints (vCPU registers, last blocks). Returns an id for removal.
int add_check_dump(std::function<std::string()> dump);
void remove_check_dump(int id);

}  // namespace shadowbox

#define VM_CHECK(condition)                                                                               \
    do {                                                                                                  \
        if (__builtin_expect(!(condition), 0)) ::shadowbox::check_failed(#condition, __FILE__, __LINE__); \
    } while (0)
