// SPDX-License-Identifier: MIT
// Every fuzz target on random bytes from a seed, for builds without libFuzzer. SHADOWBOX_FUZZ_SEED chooses
// another seed, SHADOWBOX_FUZZ_ROUNDS more inputs.
#include <spdlog/spdlog.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/seeded_random.h"
#include "tests/fuzz/fuzz_input.h"

using namespace shadowbox;

namespace {

u64 setting(const char* name, u64 otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// Random bytes, half of them small numbers or repetitions: plain noise hardly ever means anything.
std::vector<u8> random_input(SeededRandom& random, u64 longest) {
    std::vector<u8> bytes(random.below(longest + 1));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        u64 kind = random.below(8);
        bytes[i] = static_cast<u8>(kind < 3              ? random.below(16)
                                   : kind == 3 && i >= 8 ? bytes[i - 8]
                                                         : random.next());
    }
    return bytes;
}

void drive(void (*target)(std::span<const u8>), u64 rounds, u64 longest) {
    u64 seed = setting("SHADOWBOX_FUZZ_SEED", 1);
    rounds = setting("SHADOWBOX_FUZZ_ROUNDS", rounds);
    std::fprintf(stderr, "seed %llu, %llu inputs\n", static_cast<unsigned long long>(seed),
                 static_cast<unsigned long long>(rounds));
    spdlog::set_level(spdlog::level::off);
    SeededRandom random(seed);
    for (u64 i = 0; i < rounds; ++i) target(random_input(random, longest));
    SUCCEED();
}

}  // namespace

TEST_CASE("fuzz: the decoder on any bytes in any mode") { drive(fuzz::fuzz_decoder, 300'000, 40); }
TEST_CASE("fuzz: the page walk against the reference walk") { drive(fuzz::fuzz_page_walk, 8'000, 600); }
TEST_CASE("fuzz: every device of the board") { drive(fuzz::fuzz_devices, 400, 3000); }
TEST_CASE("fuzz: kernels and disk images") { drive(fuzz::fuzz_boot_files, 3'000, 200); }
TEST_CASE("fuzz: command lines and TOML files") { drive(fuzz::fuzz_config, 8'000, 200); }
