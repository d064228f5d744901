# SPDX-License-Identifier: MIT
# SHADOWBOX_FUZZ: every library instrumented for libFuzzer, under the address and undefined-behaviour sanitizers.
include(CheckCXXSourceCompiles)
if(SHADOWBOX_ASAN OR SHADOWBOX_TSAN)
  message(FATAL_ERROR "SHADOWBOX_FUZZ brings its own sanitizers: switch SHADOWBOX_ASAN and SHADOWBOX_TSAN off")
endif()
set(CMAKE_REQUIRED_FLAGS "-fsanitize=fuzzer,address,undefined")
check_cxx_source_compiles("
#include <cstddef>
#include <cstdint>
extern \"C\" int LLVMFuzzerTestOneInput(const uint8_t*, size_t) { return 0; }" SHADOWBOX_HAS_LIBFUZZER)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT SHADOWBOX_HAS_LIBFUZZER)
  message(FATAL_ERROR "SHADOWBOX_FUZZ needs a compiler with libFuzzer, which ${CMAKE_CXX_COMPILER_ID} is not (or its "
                      "run-time library is missing): configure with -DCMAKE_CXX_COMPILER=clang++ "
                      "(Debian: packages clang and libclang-rt-dev)")
endif()
target_compile_options(sb_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=alignment
                       -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
target_link_options(sb_options INTERFACE -fsanitize=address,undefined)
target_compile_definitions(sb_options INTERFACE SHADOWBOX_SANITIZED=1)
