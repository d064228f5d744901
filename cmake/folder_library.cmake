# SPDX-License-Identifier: MIT
# folder_library(NAME LINKS lib...): every .cpp below the current folder becomes library sb_NAME.

add_library(sb_options INTERFACE)
target_compile_options(sb_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers
                       -fno-strict-aliasing -Wno-unused-parameter)
target_include_directories(sb_options INTERFACE ${CMAKE_SOURCE_DIR})
target_link_libraries(sb_options INTERFACE Threads::Threads)
if(SHADOWBOX_ASAN)
  # Guest memory is accessed at any alignment on purpose (mmu/guest_access.h).
  target_compile_options(sb_options INTERFACE -fsanitize=address,undefined -fno-sanitize=alignment
                         -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  # GCC 12 sees an uninitialized std::function in std::regex under ASan (GCC bug 105562).
  target_compile_options(sb_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(sb_options INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(sb_options INTERFACE SHADOWBOX_SANITIZED=1)
endif()
if(SHADOWBOX_TSAN)
  target_compile_options(sb_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(sb_options INTERFACE -fsanitize=thread)
  target_compile_definitions(sb_options INTERFACE SHADOWBOX_SANITIZED=1 SHADOWBOX_TSAN=1)
endif()
if(SHADOWBOX_COVERAGE)
  target_compile_options(sb_options INTERFACE --coverage)
  target_link_options(sb_options INTERFACE --coverage)
endif()

function(folder_library name)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(sb_${name} STATIC ${sources})
  target_link_libraries(sb_${name} PUBLIC sb_options ${ARG_LINKS})
endfunction()
