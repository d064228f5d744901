// SPDX-License-Identifier: MIT
// No machine page left: the guest that wants one stands still, says so once, and goes on when there is room.
#include <spdlog/sinks/ringbuffer_sink.h>

#include <atomic>

#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

/// What is logged meanwhile.
class LogLines {
 public:
    LogLines() : before_(spdlog::default_logger()) {
        spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
    }
    ~LogLines() { spdlog::set_default_logger(before_); }
    std::string all() { return fmt::format("{}", fmt::join(sink_->last_formatted(), "")); }
    unsigned with(std::string_view part) {
        unsigned count = 0;
        for (const std::string& line : sink_->last_formatted()) count += line.find(part) != std::string::npos;
        return count;
    }

 private:
    std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> sink_ =
        std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(1000);
    std::shared_ptr<spdlog::logger> before_;
};

void wait_for_want(VirtualMachine& vm) {
    wait_until([&] { return vm.state() == VmState::kBlocked; });
    CHECK(vm.blocked_by(BlockReason::kPoolFull));
}

struct Events {
    explicit Events(VirtualMachine& vm) {
        vm.set_observer([this](VmEvent event) {
            paused += event == VmEvent::kPaused;
            resumed += event == VmEvent::kResumed;
        });
    }
    std::atomic<unsigned> paused{0}, resumed{0};
};

bool touched(VirtualMachine& vm, u16 segment) {
    u8 byte = 0;
    vm.memory().peek(Gpa(u64{segment} << 4), std::span(&byte, 1));
    return byte != 0;
}

}  // namespace

TEST_CASE("pool full: the guest stands still, says so once, and goes on when the pool grows") {
    for (bool icount : {false, true}) {
        LogLines log;
        FirmwareHost machines(icount);
        VmHandle vm = machines.add("starved", touching(kFirstSegment, kEndSegment, 5));
        Events events(*vm);
        vm->start();
        machines.leave_room(20);
        vm->resume();
        wait_for_want(*vm);
        CHECK(vm->state() == VmState::kBlocked);
        CHECK(std::string(vm->block_reason()).find("pool_set") != std::string::npos);
        CHECK(log.with("[starved] no machine page left") == 1);
        CHECK(log.with("pool_set SIZE") == 1);
        wait_until([&] { return events.paused == 1; });
        CHECK(machines.in_use() == machines.host->pool().capacity());
        REQUIRE(machines.host->set_pool_bytes(64 << 20));
        machines.host->wait_all();
        CHECK(vm->exit_status() == 11);
        CHECK(log.with("no machine page left") == 1);
        CHECK(events.paused == 1);
        wait_until([&] { return events.resumed == 2; });  // the start was one
    }
}

TEST_CASE("pool full: several vCPUs meet it, one line tells") {
    for (bool icount : {false, true}) {
        LogLines log;
        FirmwareHost machines(icount);
        VmHandle vm = machines.add("smp", touching(0x1000, 0x5000), touching(0x5000, 0x9000));
        Events events(*vm);
        vm->start();
        FirmwareHost::start_second(*vm);
        machines.leave_room(40);
        vm->resume();
        for (unsigned pages : {10, 10, 10}) {
            wait_for_want(*vm);
            machines.leave_room(pages);
        }
        wait_for_want(*vm);
        CHECK(log.with("no machine page left") == 1);
        REQUIRE(machines.host->set_pool_bytes(64 << 20));
        wait_until([&] { return touched(*vm, 0x4F00) && touched(*vm, 0x8F00); });
        CHECK(vm->state() == VmState::kRunning);
    }
}

TEST_CASE("pool full: a starved guest stops nobody, and has what another gives back") {
    for (bool icount : {false, true}) {
        FirmwareHost machines(icount);
        VmHandle other = machines.run("other", touching(kFirstSegment, kEndSegment));
        wait_until([&] { return touched(*other, kEndSegment - 0x100); });
        VmHandle vm = machines.add("starved", touching(kFirstSegment, kEndSegment, 5));
        vm->start();
        machines.leave_room(3);
        vm->resume();
        wait_for_want(*vm);
        FirmwareHost::wait_for_progress(*other);
        u64 stood = FirmwareHost::retired(*vm);
        FirmwareHost::wait_for_progress(*other);
        CHECK(FirmwareHost::retired(*vm) == stood);
        machines.host->remove(other);
        machines.host->wait_all();
        CHECK(vm->exit_status() == 11);
    }
}

TEST_CASE("pool full: pause, cont, reset, views and the end of a starved guest all work") {
    for (bool icount : {false, true}) {
        LogLines log;
        FirmwareHost machines(icount);
        VmHandle vm = machines.add("starved", touching(kFirstSegment, kEndSegment, 5));
        vm->start();
        machines.leave_room(20);
        vm->resume();
        wait_for_want(*vm);
        vm->pause();
        CHECK(vm->state() == VmState::kPaused);
        u64 pages = 0;
        vm->while_stopped([&] { pages = vm->memory().pmap().count().total(); });
        CHECK(pages > 200);
        vm->resume();  // no room: it wants again, and somebody has asked for it, so it says so
        wait_until([&] { return log.with("no machine page left") == 2; });
        wait_for_want(*vm);
        vm->pause();
        REQUIRE(machines.host->set_pool_bytes(64 << 20));
        wait_until([&] { return !vm->blocked_by(BlockReason::kPoolFull); });
        CHECK(vm->state() == VmState::kPaused);  // room ends no pause
        machines.leave_room(10);
        vm->resume();
        wait_for_want(*vm);
        vm->reset();  // what it touched before the reset it has: it gets as far as before
        vm->resume();
        wait_for_want(*vm);
        vm->stop();
        CHECK(vm->state() == VmState::kPoweredOff);
        CHECK(vm->finished());
    }
}

TEST_CASE("pool full: a cap below what is in use holds back new pages only") {
    FirmwareHost machines(false);
    VmHandle has = machines.run("has", touching(kFirstSegment, kEndSegment));
    wait_until([&] { return touched(*has, kEndSegment - 0x100); });
    VmHandle wants = machines.add("wants", touching(kFirstSegment, kEndSegment, 5));
    wants->start();
    u64 in_use = machines.in_use();
    REQUIRE(machines.host->set_pool_bytes(in_use / 2 * kPageSize));
    CHECK(machines.host->pool().available() == 0);
    FirmwareHost::wait_for_progress(*has);
    wants->resume();
    wait_for_want(*wants);
    CHECK(machines.in_use() == in_use);
    machines.leave_room(128);
    wait_until([&] { return wants->finished(); });
    CHECK(wants->exit_status() == 11);
    CHECK_FALSE(machines.host->set_pool_bytes(u64{1} << 40));
}

TEST_CASE("pool full: where nobody can give room the guest ends with status 4, and says what would help") {
    for (bool icount : {false, true}) {
        LogLines log;
        FirmwareHost machines(icount, false);
        VmHandle vm = machines.add("starved", touching(kFirstSegment, kEndSegment, 5));
        vm->start();
        machines.leave_room(20);
        vm->resume();
        machines.host->wait_all();
        INFO(log.all());
        CHECK(vm->state() == VmState::kCrashed);
        CHECK(vm->exit_status() == 4);
        CHECK(log.with("no machine page left") == 1);
        CHECK(log.with("raise --pool") == 1);
    }
}

TEST_CASE("pool full: of two starved guests without a monitor the younger ends, the older goes on") {
    for (bool icount : {false, true}) {
        FirmwareHost machines(icount, false);
        VmHandle older = machines.add("older", touching(kFirstSegment, kEndSegment, 5));
        VmHandle younger = machines.add("younger", touching(kFirstSegment, kEndSegment, 5));
        older->start(), younger->start();
        machines.leave_room(100);
        younger->resume(), older->resume();  // as long as it is paused, it could give nothing
        machines.host->wait_all();
        CHECK(older->exit_status() == 11);
        CHECK((younger->exit_status() == 4 || younger->exit_status() == 11));
    }
}

TEST_CASE("pool full: an instruction done alone that wants a page gets it") {
    // Two vCPUs: a locked operation across two pages is done with the other vCPU outside guest code.
    //   mov ax, 1000h; mov es, ax; lock inc dword es:[0FFEh]; mov al, 5; out F4h, al
    std::vector<u8> code = {0xB8, 0x00, 0x10, 0x8E, 0xC0, 0xF0, 0x26, 0x66, 0xFF,
                            0x06, 0xFE, 0x0F, 0xB0, 0x05, 0xE6, 0xF4, 0xF4};
    for (bool icount : {false, true}) {
        FirmwareHost machines(icount);
        VmHandle vm = machines.add("locked", code, {0xF4});
        vm->start();
        machines.leave_room(0);
        vm->resume();
        wait_for_want(*vm);  // went round and round for ever
        REQUIRE(machines.host->set_pool_bytes(64 << 20));
        machines.host->wait_all();
        CHECK(vm->exit_status() == 11);
    }
}
