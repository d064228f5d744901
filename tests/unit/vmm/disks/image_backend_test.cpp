// SPDX-License-Identifier: MIT
// What ImageBackend tells a device: every failure of the host or of the request comes back as a status, once.
#include "vmm/disks/image_backend.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "core/log.h"

using namespace shadowbox;

namespace {

/// Runs work at once and counts completions.
struct InlineExecutor final : IoExecutor {
    void submit(Work work, BlockBackend::Completion done) override { done(work()); }
};

struct Disk {
    std::filesystem::path directory;
    InlineExecutor executor;
    std::unique_ptr<ImageBackend> backend;
    explicit Disk(ImageMode mode, u64 bytes = 4096) {
        char name[] = "/tmp/shadowbox-test-XXXXXX";
        directory = mkdtemp(name);
        auto file = File::open(directory / "disk", File::Mode::kCreate);
        REQUIRE(file);
        REQUIRE(file->write(0, std::vector<u8>(bytes, 0x11)));
        *file = File();
        auto image = ImageFile::open(directory / "disk", mode);
        REQUIRE(image);
        backend = std::make_unique<ImageBackend>(std::move(*image), executor);
        spdlog::set_level(spdlog::level::off);
    }
    ~Disk() {
        spdlog::set_level(spdlog::level::info);
        std::filesystem::remove_all(directory);
    }
    template <class Start>
    IoStatus status(Start start) {
        unsigned calls = 0;
        IoStatus result{};
        start([&](IoStatus status) { result = status, ++calls; });
        CHECK(calls == 1);
        return result;
    }
    IoStatus read(u64 offset, std::span<u8> to) {
        return status([&](auto done) { backend->read(offset, to, done); });
    }
    IoStatus write(u64 offset, std::span<u8> from) {
        return status([&](auto done) { backend->write(offset, from, done); });
    }
};

}  // namespace

TEST_CASE("image backend: pieces follow each other on the disk") {
    Disk disk(ImageMode::kWritable);
    std::vector<u8> one(512, 1), two(1024, 2), back(1536);
    CHECK(disk.status([&](auto done) {
        disk.backend->write(512, BlockBackend::Pieces{{one}, {two}}, done);
    }) == IoStatus::kOk);
    CHECK(disk.read(512, back) == IoStatus::kOk);
    CHECK(back[511] == 1);
    CHECK(back[512] == 2);
    CHECK(back[1535] == 2);
    CHECK(disk.read(0, std::span(back).first(512)) == IoStatus::kOk);
    CHECK(back[0] == 0x11);
    CHECK(disk.status([&](auto done) { disk.backend->flush(done); }) == IoStatus::kOk);
}

TEST_CASE("image backend: beyond the end is an error and changes nothing") {
    for (ImageMode mode : {ImageMode::kWritable, ImageMode::kSnapshot, ImageMode::kReadOnly}) {
        Disk disk(mode);
        std::vector<u8> sector(512, 9);
        CHECK(disk.read(4096, sector) == IoStatus::kError);
        CHECK(disk.read(4096 - 256, sector) == IoStatus::kError);
        CHECK(disk.read(~u64{0} - 100, sector) == IoStatus::kError);
        if (mode == ImageMode::kReadOnly) continue;
        CHECK(disk.write(4096, sector) == IoStatus::kError);
        CHECK(disk.write(~u64{0} - 511, sector) == IoStatus::kError);
        CHECK(disk.backend->size_bytes() == 4096);
        CHECK(disk.read(3584, sector) == IoStatus::kOk);
        CHECK(sector[511] == 0x11);
    }
}

TEST_CASE("image backend: a read-only image says so, and flushing it is no error") {
    Disk disk(ImageMode::kReadOnly);
    std::vector<u8> sector(512, 9);
    CHECK(disk.backend->read_only());
    CHECK(disk.write(0, sector) == IoStatus::kReadOnly);
    CHECK(disk.read(0, sector) == IoStatus::kOk);
    CHECK(sector[0] == 0x11);
    CHECK(disk.status([&](auto done) { disk.backend->flush(done); }) == IoStatus::kOk);
}

TEST_CASE("image backend: a file that shrinks under us is an error for the guest, not for us") {
    Disk disk(ImageMode::kWritable);
    std::filesystem::resize_file(disk.directory / "disk", 1024);
    std::vector<u8> sector(512, 9);
    CHECK(disk.read(512, sector) == IoStatus::kOk);
    CHECK(disk.read(2048, sector) == IoStatus::kError);
    CHECK(disk.read(2048, sector) == IoStatus::kError);
}
