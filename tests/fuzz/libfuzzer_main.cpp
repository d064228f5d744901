// SPDX-License-Identifier: MIT
// libFuzzer's door to one target (FUZZ_TARGET).
#include <spdlog/spdlog.h>

#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t size) {
    static bool quiet = (spdlog::set_level(spdlog::level::off), true);
    (void)quiet;
    shadowbox::fuzz::FUZZ_TARGET({bytes, size});
    return 0;
}
