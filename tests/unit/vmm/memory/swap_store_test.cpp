// SPDX-License-Identifier: MIT
// Slots: runs, references, generations, checksums, a full store, a medium that fails, and the file itself.
#include "vmm/memory/swap_store.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "core/seeded_random.h"

using namespace shadowbox;

namespace {

struct MemoryDevice final : SwapDevice {
    explicit MemoryDevice(u64 bytes) : content(bytes) {}
    Expected<void> read(u64 offset, std::span<u8> to) override {
        if (fails) return make_error(ErrorCode::kIo, "broken");
        std::copy_n(content.begin() + static_cast<long>(offset), to.size(), to.begin());
        return {};
    }
    Expected<void> write(u64 offset, std::span<const u8> from) override {
        if (fails) return make_error(ErrorCode::kIo, "broken");
        std::copy(from.begin(), from.end(), content.begin() + static_cast<long>(offset));
        return {};
    }
    std::vector<u8> content;
    bool fails = false;
};

struct StoreTest {
    explicit StoreTest(u64 slots) {
        auto made = std::make_unique<MemoryDevice>((slots + 1) * kPageSize);
        device = made.get();
        store = std::make_unique<SwapStore>(std::move(made), slots);
    }
    MemoryDevice* device;
    std::unique_ptr<SwapStore> store;
};

std::vector<u8> pages_of(u8 value, u64 count = 1) { return std::vector<u8>(count * kPageSize, value); }

}  // namespace

TEST_CASE("swap store: slots come in runs that lie together, and slot 0 never") {
    StoreTest t(100);
    auto first = t.store->allocate(16), second = t.store->allocate(16);
    REQUIRE((first && second));
    CHECK(first->first == 1);
    CHECK(first->count == 16);
    CHECK(second->first == 17);
    CHECK(t.store->counts().free == 68);
    for (u64 i = 0; i < 16; ++i) t.store->release(first->first + i);
    CHECK(t.store->allocate(60)->first == 33);
    CHECK(t.store->allocate(16)->first == 1);  // none as long behind the cursor
    auto rest = t.store->allocate(20);
    REQUIRE(rest);
    CHECK(rest->count == 8);  // the longest that there is
    CHECK_FALSE(t.store->allocate(1));
    CHECK(t.store->counts().free == 0);
}

TEST_CASE("swap store: the last reference frees a slot, whose next life has another generation") {
    StoreTest t(1);
    const u64 slot = t.store->allocate(1)->first;
    const u8 generation = t.store->generation(slot);
    t.store->add_references(slot, 2);
    t.store->release(slot), t.store->release(slot);
    CHECK(t.store->counts().free == 0);
    t.store->release(slot);
    CHECK(t.store->counts().free == 1);
    REQUIRE(t.store->allocate(1)->first == slot);
    CHECK(t.store->generation(slot) != generation);
}

TEST_CASE("swap store: reads what was written, and tells what was not") {
    StoreTest t(10);
    const u64 first = t.store->allocate(3)->first;
    auto content = pages_of(1);
    for (u8 value : {2, 3})
        for (u8 byte : pages_of(value)) content.push_back(byte);
    REQUIRE(t.store->write(first, content));
    auto back = pages_of(0, 3);
    REQUIRE(t.store->read(first, back));
    CHECK(back == content);
    REQUIRE(t.store->read(first + 1, std::span(back).first(kPageSize)));
    CHECK(back[0] == 2);
    t.device->content[(first + 1) * kPageSize + 77] ^= 1;
    auto wrong = t.store->read(first, back);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == ErrorCode::kCorrupt);
    CHECK(wrong.error().message == fmt::format("swap slot {} does not hold what was written", first + 1));
    t.device->fails = true;
    CHECK(t.store->read(first, back).error().message == "broken");
    CHECK(t.store->write(first, content).error().message == "broken");
    t.device->fails = false;
    REQUIRE(t.store->write(first, content));
    REQUIRE(t.store->read(first, back));
    CHECK(t.store->counts().written == 6);
}

TEST_CASE("swap store: never hands out a slot that is in use, whatever the order") {
    SeededRandom random(9);
    StoreTest t(500);
    std::set<u64> used;
    for (unsigned round = 0; round < 5000; ++round) {
        if (random.one_in(2) && !used.empty()) {
            auto victim = used.lower_bound(random.below(501));
            if (victim == used.end()) victim = used.begin();
            t.store->release(*victim);
            used.erase(victim);
        } else if (auto run = t.store->allocate(1 + random.below(12))) {
            for (u64 slot = run->first; slot < run->first + run->count; ++slot) {
                REQUIRE((slot >= 1 && slot <= 500));
                REQUIRE(used.insert(slot).second);
            }
        } else {
            REQUIRE(used.size() == 500);
        }
        REQUIRE(t.store->counts().free == 500 - used.size());
    }
}

TEST_CASE("swap file: has no name once it is open, takes no other's, and holds pages") {
    char name[] = "/tmp/shadowbox-test-XXXXXX";
    const std::filesystem::path directory = mkdtemp(name), path = directory / "swap";
    auto device = make_swap_file(path, 64 * kPageSize);
    REQUIRE(device);
    CHECK_FALSE(std::filesystem::exists(path));
    SwapStore store(std::move(*device), 63);
    auto run = store.allocate(8);
    alignas(kPageSize) static u8 content[8 * kPageSize], back[8 * kPageSize];
    for (std::size_t i = 0; i < sizeof content; ++i) content[i] = static_cast<u8>(i * 7 >> 3);
    REQUIRE(store.write(run->first, content));
    REQUIRE(store.read(run->first, back));
    CHECK(std::equal(std::begin(content), std::end(content), std::begin(back)));
    REQUIRE(File::open(path, File::Mode::kCreate));
    auto other = make_swap_file(path, 64 * kPageSize);
    REQUIRE_FALSE(other);
    CHECK(other.error().code == ErrorCode::kDenied);
    CHECK_FALSE(make_swap_file(directory / "nowhere" / "swap", kPageSize));
    std::filesystem::remove_all(directory);
}
