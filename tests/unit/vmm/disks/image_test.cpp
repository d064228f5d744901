// SPDX-License-Identifier: MIT
// Disk images on a real file system: opening, locking, snapshots, errors, and both executors.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "core/log.h"
#include "vmm/disks/drives.h"

using namespace shadowbox;
using Bytes = std::vector<u8>;
namespace fs = std::filesystem;

namespace {

struct Directory {
    Directory() {
        char name[] = "/tmp/shadowbox-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~Directory() { fs::remove_all(path); }
    std::string file(const char* name, u64 bytes, u8 fill = 0x5A) {
        std::string full = path / name;
        auto made = File::open(full, File::Mode::kCreate);
        REQUIRE(made);
        if (bytes <= 1 << 20)
            REQUIRE(made->write(0, Bytes(bytes, fill)));
        else
            REQUIRE(made->resize(bytes));
        return full;
    }
    fs::path path;
};

Bytes content(const std::string& path) { return *File::read_all(path); }

struct ManualClock final : GuestClock {
    GuestNs time = 0;
    GuestNs now() const override { return time; }
    u64 wall_base_seconds() const override { return 0; }
};

std::string refusal(const std::string& path, ImageMode mode) {
    auto image = ImageFile::open(path, mode);
    REQUIRE_FALSE(image);
    std::string text = image.error().text();
    CHECK(text.find('\n') == std::string::npos);
    CHECK(text.find(path) != std::string::npos);
    return text;
}

}  // namespace

TEST_CASE("image: a writable image is read, written and kept") {
    Directory directory;
    std::string path = directory.file("disk.img", 8192);
    {
        auto image = ImageFile::open(path, ImageMode::kWritable);
        REQUIRE(image);
        CHECK((*image)->size_bytes() == 8192);
        CHECK_FALSE((*image)->read_only());
        REQUIRE((*image)->write(4000, Bytes(200, 7)));
        Bytes back(300);
        REQUIRE((*image)->read(3950, back));
        CHECK(back[49] == 0x5A);
        CHECK(back[50] == 7);
        CHECK(back[250] == 0x5A);
        CHECK((*image)->flush());
        CHECK_FALSE((*image)->write(8100, Bytes(200)));
        CHECK_FALSE((*image)->read(~u64{0} - 10, back));
    }
    CHECK(content(path)[4000] == 7);
    CHECK(content(path).size() == 8192);
}

TEST_CASE("image: a snapshot sees its writes and leaves the file untouched") {
    Directory directory;
    std::string path = directory.file("disk.img", 5 * 4096 + 512);
    Bytes before = content(path);
    auto image = ImageFile::open(path, ImageMode::kSnapshot);
    REQUIRE(image);
    Bytes expected((*image)->size_bytes(), 0x5A);
    auto write = [&](u64 offset, u64 size, u8 value) {
        REQUIRE((*image)->write(offset, Bytes(size, value)));
        std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(offset), size, value);
    };
    write(512, 512, 1);
    write(4096 - 100, 200, 2);
    write(2 * 4096, 4096, 3);
    write(5 * 4096, 512, 4);
    write(100, 3 * 4096, 5);
    Bytes back(expected.size());
    REQUIRE((*image)->read(0, back));
    CHECK((back == expected));
    CHECK((content(path) == before));
    auto second = ImageFile::open(path, ImageMode::kSnapshot);
    REQUIRE(second);
    REQUIRE((*second)->read(0, back));
    CHECK((back == before));
}

TEST_CASE("image: a second user of a writable image is refused and told of -snapshot") {
    Directory directory;
    std::string path = directory.file("disk.img", 4096);
    {
        auto first = ImageFile::open(path, ImageMode::kWritable);
        REQUIRE(first);
        std::string text = refusal(path, ImageMode::kWritable);
        CHECK(text.find("in use by another machine") != std::string::npos);
        CHECK(text.find("-snapshot") != std::string::npos);
        refusal(path, ImageMode::kReadOnly);
    }
    auto reader = ImageFile::open(path, ImageMode::kReadOnly),
         other = ImageFile::open(path, ImageMode::kReadOnly);
    CHECK((reader && other));
    refusal(path, ImageMode::kWritable);
}

TEST_CASE("image: what cannot be used is refused in one line") {
    Directory directory;
    CHECK(refusal(directory.path / "missing.img", ImageMode::kReadOnly).find("No such file") !=
          std::string::npos);
    CHECK(refusal(directory.file("empty.img", 0), ImageMode::kReadOnly).find("empty") != std::string::npos);
    CHECK(refusal(directory.path, ImageMode::kReadOnly).find("directory") != std::string::npos);
    refusal(directory.file("odd.img", 1000), ImageMode::kWritable);
}

TEST_CASE("image: a truncated read-only image reads as zeros to the end of its last sector") {
    Directory directory;
    auto image = ImageFile::open(directory.file("odd.img", 1000), ImageMode::kReadOnly);
    REQUIRE(image);
    CHECK((*image)->size_bytes() == 1024);
    Bytes back(512);
    REQUIRE((*image)->read(512, back));
    CHECK(back[487] == 0x5A);
    CHECK(back[488] == 0);
    CHECK_FALSE((*image)->write(0, back));
}

TEST_CASE("image: offsets above 4 GiB") {
    Directory directory;
    std::string path = directory.file("large.img", u64{6} << 30);
    for (ImageMode mode : {ImageMode::kSnapshot, ImageMode::kWritable}) {
        auto image = ImageFile::open(path, mode);
        REQUIRE(image);
        REQUIRE((*image)->write((u64{5} << 30) + 512, Bytes(512, 9)));
        Bytes back(1024);
        REQUIRE((*image)->read(u64{5} << 30, back));
        CHECK(back[511] == 0);
        CHECK(back[512] == 9);
        REQUIRE((*image)->read(u64{1} << 30, back));
        CHECK(back == Bytes(1024, 0));
    }
}

TEST_CASE("image backend: a full host disk is an error for the guest, not for us") {
    auto file = File::open("/dev/full", File::Mode::kReadWrite);
    if (!file) return;
    CHECK_FALSE(file->write(0, Bytes(512)));  // what the host says; the backend hands it on as kError
    Directory directory;
    ManualClock clock;
    TimerQueue timers(clock);
    DeterministicIoExecutor executor(timers);
    auto image = ImageFile::open(directory.file("disk.img", 4096), ImageMode::kReadOnly);
    ImageBackend backend(std::move(*image), executor);
    Bytes bytes(512);
    IoStatus status = IoStatus::kOk;
    backend.write(0, std::span<u8>(bytes), [&](IoStatus s) { status = s; });
    clock.time = DeterministicIoExecutor::kLatency;
    timers.run_due(clock.time);
    CHECK(status == IoStatus::kReadOnly);
    spdlog::set_level(spdlog::level::off);
    backend.read(4000, std::span<u8>(bytes), [&](IoStatus s) { status = s; });
    clock.time *= 2;
    timers.run_due(clock.time);
    spdlog::set_level(spdlog::level::info);
    CHECK(status == IoStatus::kError);
}

TEST_CASE("deterministic executor: completes in order, a fixed guest time after the request") {
    ManualClock clock;
    TimerQueue timers(clock);
    DeterministicIoExecutor executor(timers);
    std::string order;
    executor.submit(
        [&] {
            order += 'w';
            return IoStatus::kOk;
        },
        [&](IoStatus) {
            order += 'a';
            executor.submit([] { return IoStatus::kOk; }, [&](IoStatus) { order += 'c'; });
        });
    clock.time = 50'000;
    executor.submit([] { return IoStatus::kError; },
                    [&](IoStatus status) { order += status == IoStatus::kError ? 'b' : '?'; });
    CHECK(order == "w");
    CHECK(timers.next_deadline() == 100'000);
    clock.time = 100'000;
    timers.run_due(clock.time);
    CHECK(order == "wa");
    CHECK(timers.next_deadline() == 150'000);
    clock.time = 200'000;
    timers.run_due(clock.time);
    CHECK(order == "wabc");
    CHECK(timers.next_deadline() == kNever);
}

TEST_CASE("host executor: work runs in order on its thread, completions where they are run") {
    Directory directory;
    std::string path = directory.file("disk.img", 1 << 20, 0);
    std::atomic<unsigned> woken{0};
    std::thread::id caller = std::this_thread::get_id();
    std::vector<Bytes> blocks;  // outlives the executor, which finishes its work when it goes
    {
        // Slow to wake, so that a drain that does not wait for the last of them is seen.
        HostIoExecutor executor([&] {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
            ++woken;
        });
        auto image = ImageFile::open(path, ImageMode::kWritable);
        ImageBackend backend(std::move(*image), executor);
        for (unsigned i = 0; i < 64; ++i) blocks.emplace_back(8192, static_cast<u8>(i + 1));
        unsigned done = 0;
        for (unsigned i = 0; i < 64; ++i)
            backend.write(i * 4096, std::span<u8>(blocks[i]), [&](IoStatus status) {
                CHECK(status == IoStatus::kOk);
                CHECK(std::this_thread::get_id() == caller);
                ++done;
            });
        executor.drain();
        CHECK(done == 0);
        CHECK(woken == 64);  // "drained before the last wake-up": 63 once in forty runs
        executor.run_completions();
        CHECK(done == 64);
        backend.write(512 << 10, std::span<u8>(blocks[0]),
                      [](IoStatus) { FAIL("nobody runs completions any more"); });
    }
    Bytes written = content(path);
    for (unsigned i = 0; i < 64; ++i) CHECK(written[i * 4096] == i + 1);
    CHECK(written[64 * 4096] == 64);
    CHECK(written[512 << 10] == 1);  // submitted before the end, so written
}

TEST_CASE("drives: places by index, the CD at the secondary master, the rest in the gaps") {
    Directory directory;
    ManualClock clock;
    TimerQueue timers(clock);
    DeterministicIoExecutor executor(timers);
    MachineConfig config;
    auto drive = [&](const char* name, bool cdrom, int index,
                     DriveInterface interface = DriveInterface::kIde) {
        DriveConfig d;
        d.file = directory.file(name, 4096);
        d.cdrom = cdrom;
        d.index = index;
        d.interface = interface;
        config.drives.push_back(d);
    };
    drive("a", false, -1), drive("cd", true, -1), drive("b", false, 0), drive("c", false, -1);
    drive("v", false, -1, DriveInterface::kVirtio), drive("f", false, 1, DriveInterface::kFloppy);
    auto drives = open_drives(config, executor);
    REQUIRE(drives);
    auto place = [&](const char* name) {
        for (Drive& d : *drives)
            if (d.config.file.ends_with(std::string("/") + name)) return d.index;
        return -1;
    };
    CHECK(place("b") == 0);
    CHECK(place("a") == 1);
    CHECK(place("cd") == 2);
    CHECK(place("c") == 3);
    CHECK(place("v") == 0);
    CHECK(place("f") == 1);
    drives->clear();
    drive("d", false, 0);
    CHECK_FALSE(open_drives(config, executor));
    config.drives.pop_back();
    drive("e", false, -1);
    CHECK_FALSE(open_drives(config, executor));
}
