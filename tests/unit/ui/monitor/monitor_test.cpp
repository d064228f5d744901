// SPDX-License-Identifier: MIT
// The monitor and QMP against a machine that stands still (-S).
#include <unistd.h>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/host/file.h"
#include "cpu/state/vcpu.h"
#include "ui/control/guest_input.h"
#include "ui/display/pool_table.h"
#include "ui/monitor/commands.h"
#include "ui/monitor/disassembly.h"
#include "ui/monitor/expression.h"
#include "ui/monitor/line_editor.h"
#include "ui/monitor/page_table_view.h"
#include "ui/monitor/qmp.h"
#include "vmm/machine/host.h"
#include "vmm/memory/memory_policies.h"
#include "vmm/screen/screen.h"

using namespace shadowbox;

namespace {

struct OnePixel final : ScreenSource {
    bool render(ScreenImage& image) override {
        image = {2, 1, {0x00FF0000, 0x0000FF00}};
        return true;
    }
    std::vector<std::string> text_screen() override { return {}; }
};

/// Two paused machines under icount: nothing moves by itself.
struct Machines final : ProcessControl {
    Machines() {
        HostConfig config;
        config.icount = true;
        config.seed = 1;
        host_ = std::move(*Host::create(config, 16 << 20));
        for (const char* name : {"one", "two"}) {
            MachineConfig machine;
            machine.name = name;
            machine.memory_bytes = 8 << 20;
            machine.start_paused = true;
            machine.nic.present = false;
            auto vm = host_->add(machine, {});
            INFO((vm ? std::string() : vm.error().text()));
            REQUIRE(vm);
            inputs_.push_back(std::make_unique<GuestInput>(**vm));
        }
        host_->start_all();
        policies_ = std::make_unique<MemoryPolicies>(*host_);
    }
    Host& host() override { return *host_; }
    MemoryPolicies& policies() override { return *policies_; }
    GuestInput& input(VmId guest) override { return *inputs_[guest.value - 1]; }
    ScreenSource* screen(VmId guest) override { return guest.value == 1 ? &screen_ : nullptr; }
    void quit() override { ++quits; }
    VirtualMachine& vm() { return *host_->vms()[0]; }
    void poke(u64 where, const std::vector<u8>& bytes) { vm().memory().write(Gpa(where), bytes); }
    void poke64(u64 where, u64 value) {
        std::vector<u8> bytes;
        for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<u8>(value >> (8 * i)));
        poke(where, bytes);
    }
    void touch(u64 pages) {
        for (u64 i = 0; i < pages; ++i) poke(0x200000 + i * kPageSize, {1});
    }
    /// 4-level tables: 0 to 4 MiB in large pages, and 1000000H to 400000H in a small one, user and read-only.
    void page_tables() {
        poke64(0x10000, 0x11007);
        poke64(0x11000, 0x12007);
        poke64(0x12000, 0x0000E3);
        poke64(0x12008, 0x2000E3);
        poke64(0x12040, 0x13007);
        poke64(0x13000, 0x400005);
        vm().while_stopped([&] {
            vm().vcpu(0).mmu.set_control(0x80010001, 0x20, 0x500);
            vm().vcpu(0).mmu.set_cr3(0x10000, false);
        });
    }

    OnePixel screen_;
    std::unique_ptr<Host> host_;
    std::unique_ptr<MemoryPolicies> policies_;
    std::vector<std::unique_ptr<GuestInput>> inputs_;
    int quits = 0;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string temporary(const char* name) {
    return (std::filesystem::temp_directory_path() / fmt::format("sb-mon-{}-{}", getpid(), name)).string();
}

}  // namespace

TEST_CASE("monitor: unknown commands and wrong arguments are one clear line") {
    Machines machines;
    Monitor monitor(machines);
    for (const char* line :
         {"nonsense", "info nonsense", "cpu", "cpu 7", "vm nobody", "sendkey nokey", "x/4q 0", "print 1+",
          "print $foo", "print 1/0", "pmemsave 0", "info registers x", "print ((((1", "memsave 0 0 f"}) {
        std::string out = monitor.execute(line);
        INFO(line << ": " << out);
        CHECK(std::count(out.begin(), out.end(), '\n') == 1);
        CHECK(out.size() > 8);
    }
    CHECK(monitor.execute("").empty());
    CHECK(has(monitor.execute("help"), "system_powerdown"));
    CHECK(has(monitor.execute("help info"), "info pmap"));
}

TEST_CASE("monitor: every command of the tables is described") {
    for (auto table : {monitor_commands(), info_commands()})
        for (const MonitorCommand& command : table) {
            CHECK(std::string(command.help).size() >= 5);
            CHECK(command.fewest <= command.most);
        }
}

TEST_CASE("monitor: choice of guest, status, names") {
    Machines machines;
    Monitor monitor(machines);
    CHECK(monitor.execute("info status") == "VM status: paused\n");
    CHECK(monitor.execute("info name") == "one\n");
    CHECK(monitor.execute("vm two").empty());
    CHECK(monitor.execute("info name") == "two\n");
    CHECK(has(monitor.execute("info vms"), "* 1: two (paused"));
    CHECK(monitor.execute("vm 0").empty());
    CHECK(has(monitor.execute("info cpus"), "* CPU #0"));
    CHECK(has(monitor.execute("info registers"), "RIP="));
    CHECK(has(monitor.execute("info version"), "shadowbox version 0.1"));
    CHECK(has(monitor.execute("info qtree pit"), "channel 0"));
    CHECK(has(monitor.execute("info mtree"), "0000000000000000-000000000009ffff ram"));
    machines.host().vms()[1]->stop();
    monitor.execute("vm two");
    CHECK(has(monitor.execute("info status"), "shutdown"));
    CHECK(has(monitor.execute("c"), "has ended"));
    CHECK(monitor.execute("q").empty());
    CHECK(monitor.quit_asked());
}

TEST_CASE("monitor: sharing on and off, info sharing counts what was found and saved") {
    Machines machines;
    Monitor monitor(machines);
    CHECK(has(monitor.execute("info sharing"), "off: 50 pages a second"));
    for (const char* line : {"sharing", "sharing maybe", "sharing on 0", "sharing on x", "sharing off 5"}) {
        INFO(line);
        CHECK(monitor.execute(line) != "");
    }
    CHECK(monitor.execute("sharing on 300") == "");
    CHECK(has(monitor.execute("info sharing"), "on: 300 pages a second"));
    machines.touch(8);
    machines.policies().sharing.scan(1 << 20);
    const std::string found = monitor.execute("info sharing");
    INFO(found);
    CHECK(has(found, "1 machine pages have 8 owners: 28 KiB saved"));
    CHECK(machines.policies().sharing.counts(VmId(1)).shared >= 7);
    CHECK(monitor.execute("sharing off") == "");
    CHECK(has(monitor.execute("info sharing"), "off: 300 pages a second"));
}

TEST_CASE("monitor: epochs tracks a guest, info epochs counts, off ends it") {
    Machines machines;
    Monitor monitor(machines);
    CHECK(has(monitor.execute("info epochs"), "not tracked"));
    for (const char* line : {"epochs", "epochs x", "epochs 0", "epochs 99999999", "epochs 1 s"}) {
        INFO(line);
        CHECK_FALSE(monitor.execute(line).empty());
    }
    CHECK(has(monitor.execute("info epochs"), "not tracked"));
    CHECK(monitor.execute("epochs 1000") == "");
    machines.touch(3);
    CHECK(has(monitor.execute("info epochs"), "every 1000 ms of guest time, the running one is number 1"));
    CHECK(has(monitor.execute("info epochs"),
              "running            3 pages accessed (12 KiB),         3 dirtied (12 KiB)"));
    CHECK(monitor.execute("epochs off") == "");
    CHECK(has(monitor.execute("info epochs"), "not tracked"));
}

TEST_CASE("monitor: pool_set and cont let a guest go on that found the pool full") {
    Machines machines;
    Monitor monitor(machines);
    CHECK(has(monitor.execute("info pool"), "20480 pages in use"));
    machines.touch(256);
    CHECK(has(monitor.execute("pool_set 1M"), "no new pages until it is less"));
    CHECK(has(monitor.execute("info pool"), "of 256 pages in use"));
    CHECK(has(monitor.execute("info pool"), "full"));
    for (const char* line : {"pool_set", "pool_set x", "pool_set 1K", "pool_set 1T", "pool_set 64 M"}) {
        std::string out = monitor.execute(line);
        INFO(line << ": " << out);
        CHECK(std::count(out.begin(), out.end(), '\n') == 1);
    }
    CHECK(monitor.execute("cont").empty());
    while (machines.vm().state() != VmState::kBlocked) std::this_thread::yield();
    CHECK(has(monitor.execute("info status"), "paused (no machine page left: pool_set SIZE"));
    CHECK(has(monitor.execute("info vms"), "one (blocked"));
    CHECK(monitor.execute("cont").empty());  // no room yet: it stands still again
    while (machines.vm().state() != VmState::kBlocked) std::this_thread::yield();
    CHECK(monitor.execute("pool_set 64M").empty());
    CHECK(monitor.execute("cont").empty());
    CHECK(monitor.execute("info status") == "VM status: running\n");
    CHECK(has(monitor.execute("help pool_set"), "pool_set SIZE"));
}

TEST_CASE("monitor: the chosen guest stays chosen when others, or it, are removed from the host") {
    Machines machines;
    Monitor monitor(machines);
    monitor.execute("vm two");
    machines.host().remove(machines.host().vms()[0]);
    CHECK(monitor.execute("info name") == "two\n");
    CHECK(has(monitor.execute("info vms"), "* 0: two"));
    machines.host().remove(machines.host().vms()[0]);
    CHECK(monitor.execute("info name") == "two\n");
    CHECK(has(monitor.execute("info status"), "shutdown"));
    CHECK(monitor.execute("info vms").empty());
    for (const char* line : {"info registers", "info cpus", "info pmap", "info qtree", "info mtree",
                             "info jit", "xp /4x 0", "nmi", "stop", "info pool", "info counters"}) {
        INFO(line);
        CHECK_FALSE(has(monitor.execute(line), "unknown"));
    }
}

TEST_CASE("monitor: memory as words, characters and instructions") {
    Machines machines;
    Monitor monitor(machines);
    machines.poke(0x2000, {0x90, 0xCC, 0x41, 0xFF, 0x0F, 0x0B, 0, 0});
    CHECK(monitor.execute("xp/4xb 0x2000") == "0000000000002000: 0x90 0xcc 0x41 0xff\n");
    CHECK(monitor.execute("xp /2xh 0x2000") == "0000000000002000: 0xcc90 0xff41\n");
    CHECK(monitor.execute("xp/1db 0x2003") == "0000000000002003: -1\n");
    CHECK(monitor.execute("xp/1ub 0x2003") == "0000000000002003: 255\n");
    CHECK(monitor.execute("xp/2cb 0x2002") == "0000000000002002: 'A' '\\xff'\n");
    CHECK(has(monitor.execute("x/2i 0x2000"), "nop"));
    CHECK(has(monitor.execute("x/1xg 0x2000"), "0x00000b0fff41cc90"));
    CHECK(has(monitor.execute("xp/1xw 0xd0000000"), "Cannot access memory"));
    CHECK(monitor.execute("print 2+3*(4-1)") == "0xb\n");
    CHECK(monitor.execute("print/d ~0") == "-1\n");
}

TEST_CASE("monitor: page tables as QEMU shows them") {
    Machines machines;
    Monitor monitor(machines);
    CHECK(monitor.execute("info tlb") == "PG disabled\n");
    CHECK(monitor.execute("info pg") == "PG disabled\n");
    machines.page_tables();
    CHECK(monitor.execute("info tlb") ==
          "0000000000000000: 0000000000000000 --PDA---W\n"
          "0000000000200000: 0000000000200000 --PDA---W\n"
          "0000000001000000: 0000000000400000 -------U-\n");
    CHECK(monitor.execute("info mem") ==
          "0000000000000000-0000000000400000 0000000000400000 -rw\n"
          "0000000001000000-0000000001001000 0000000000001000 ur-\n");
    std::string pg = monitor.execute("info pg");
    INFO(pg);
    CHECK(has(pg, "[00000-003ff] PDE[000-001]"));
    CHECK(has(pg, "[01000-01000] PTE[000]"));
    CHECK(monitor.execute("gva2gpa 0x1000004") == "gpa: 0x400004\n");
    CHECK(monitor.execute("gva2gpa 0x1001000") == "Unmapped\n");
    machines.poke(0x400000, {1, 2, 3, 4});
    CHECK(has(monitor.execute("x/1xw 0x1000000"), "0x04030201"));
}

TEST_CASE("monitor: info tlb and info mem of a range") {
    Machines machines;
    Monitor monitor(machines);
    machines.page_tables();
    CHECK(has(monitor.execute("info tlb 0x1000000"), "0000000001000000: 0000000000400000"));
    CHECK_FALSE(has(monitor.execute("info tlb 0x1000000"), "0000000000200000"));
    std::string low = monitor.execute("info tlb 0x1fffff 0x200000");
    CHECK(std::count(low.begin(), low.end(), '\n') == 2);
    CHECK(monitor.execute("info tlb 0x5000000").empty());
    CHECK(monitor.execute("info mem 0x1000000 0x1000fff") ==
          "0000000001000000-0000000001001000 0000000000001000 ur-\n");
    CHECK(has(monitor.execute("info mem 2 1"), "lower address first"));
}

TEST_CASE("monitor: pages and machine pages know each other") {
    Machines machines;
    Monitor monitor(machines);
    machines.poke(0x5000, {0xAB, 0xCD, 0, 0});
    std::string page = monitor.execute("info page 5");
    INFO(page);
    CHECK(has(page, "ppn 0x5: resident, mpn 0x"));
    CHECK(has(page, "one ppn 0x5"));
    std::size_t at = page.find("mpn 0x") + 4;
    std::string mpn = page.substr(at, page.find_first_of(",\n", at) - at);
    CHECK(has(monitor.execute("info page mpn:" + mpn), "one ppn 0x5"));
    CHECK(has(monitor.execute("xp/2xb mpn:" + mpn), "0xab 0xcd"));
    CHECK(has(monitor.execute("xp/1xb mpn:" + mpn + "+1"), "0xcd"));
    CHECK(has(monitor.execute("info pmap 4 6"), "ppn 0x5: resident, mpn " + mpn));
    CHECK(has(monitor.execute("info page 0xd0000"), "mmio"));
    CHECK(has(monitor.execute("info page mpn:0xffffffffff"), "not in use"));
    CHECK(has(monitor.execute("xp/1xb mpn:0xffffffffff"), "Cannot access memory"));
    CHECK(has(monitor.execute("info pmap 6 4"), "lower one first"));
}

TEST_CASE("monitor: tables that point at themselves end") {
    Machines machines;
    for (unsigned i = 0; i < 512; ++i) machines.poke64(0x10000 + 8 * i, 0x10007);
    PagingControl control;
    control.cr0 = 0x80000001, control.cr4 = 0x20, control.efer = 0x500, control.cr3 = 0x10000;
    u64 seen = 0;
    CHECK_FALSE(visit_page_tables(control, machines.vm().memory(), [&](const TableEntry&) { ++seen; }));
    CHECK(seen < 3'000'000);
}

TEST_CASE("monitor: pool and pmap account for every page") {
    Machines machines;
    Monitor monitor(machines);
    machines.poke(0x5000, {1});
    std::string pool = monitor.execute("info pool");
    INFO(pool);
    CHECK(has(pool, "sum "));
    CHECK_FALSE(has(pool, "DOES NOT ADD UP"));
    PoolTotals totals = machines.host().pool().totals();
    u64 sum = 0;
    for (u64 count : totals.by_state) sum += count;
    CHECK(sum == totals.reserved);
    u64 own = 0;
    for (auto& vm : machines.host().vms()) {
        Pmap::Counts counts = vm->memory().pmap().count();
        own += counts.by_state[static_cast<unsigned>(PageState::kResident)] +
               counts.by_state[static_cast<unsigned>(PageState::kRom)];
    }
    CHECK(own == totals.by_state[static_cast<unsigned>(MachineState::kPrivate)]);
    CHECK(has(monitor.execute("info pmap"), "resident"));
    std::string table = pool_table_text(machines.host());
    INFO(table);
    CHECK(has(table, "one"));
    for (std::size_t at = 0; at < table.size();) {
        std::size_t end = table.find('\n', at);
        CHECK(end - at <= 80);
        at = end + 1;
    }
}

TEST_CASE("monitor: saving memory and screen") {
    Machines machines;
    Monitor monitor(machines);
    machines.poke(0x3000, {'a', 'b', 'c'});
    std::string path = temporary("mem");
    CHECK(monitor.execute("pmemsave 0x3000 3 \"" + path + "\"").empty());
    auto saved = File::read_all(path);
    REQUIRE(saved);
    CHECK(std::string(saved->begin(), saved->end()) == "abc");
    CHECK(has(monitor.execute("pmemsave 0 0x10000000000 " + path), "beyond the end"));
    std::string named = path + ".png";
    auto dumped = [&](const std::string& file, const std::string& words) {
        CHECK(monitor.execute("screendump " + words).empty());
        auto bytes = File::read_all(file);
        REQUIRE(bytes);
        return std::string(bytes->begin(), bytes->begin() + 4);
    };
    CHECK(dumped(path, path).substr(0, 3) == "P6\n");  // as QEMU
    CHECK(dumped(path, path + " -f png").substr(1) == "PNG");
    CHECK(dumped(named, named).substr(1) == "PNG");
    CHECK(dumped(named, "-f ppm " + named).substr(0, 3) == "P6\n");
    CHECK(has(monitor.execute("screendump -f gif " + path), "known: png, ppm"));
    std::filesystem::remove(named);
    monitor.execute("vm two");
    CHECK(has(monitor.execute("screendump " + path), "no display adapter"));
    std::filesystem::remove(path);
}

TEST_CASE("disassembly: the three modes, and what is no instruction") {
    std::vector<u8> mov = {0xB8, 0x34, 0x12, 0x00, 0x00};
    CHECK(disassemble(mov, 0, 16).length == 3);
    CHECK(disassemble(mov, 0, 32).length == 5);
    std::vector<u8> bad = {0x0F, 0xFF};
    CHECK(disassemble(bad, 0, 64).length >= 1);
}

TEST_CASE("line editor: edits on a terminal, splits elsewhere") {
    LineEditor editor(true, [](std::string_view) { return std::vector<std::string>{"stop"}; });
    std::string out;
    auto type = [&](std::string_view text) {
        bool done = false;
        for (char c : text) done = editor.feed(c, out);
        return done;
    };
    CHECK(
        type("inx\x7f"
             "fo\r"));
    CHECK(editor.line() == "info");
    CHECK_FALSE(type("\n"));
    CHECK(
        type("junk\x15"
             "c\r"));
    CHECK(editor.line() == "c");
    CHECK(type("\x1b[A\x1b[A\r"));
    CHECK(editor.line() == "info");
    CHECK(type("st\t\r"));
    CHECK(editor.line() == "stop ");
    LineEditor plain(false, nullptr);
    std::string shown;
    CHECK_FALSE(plain.feed('a', shown));
    CHECK(plain.feed('\n', shown));
    CHECK(plain.line() == "a");
    CHECK(shown.empty());
}

namespace {

struct Client {
    Machines machines;
    std::vector<nlohmann::json> lines;
    QmpConnection connection{
        machines, [this](const std::string& line) { lines.push_back(nlohmann::json::parse(line)); }};
    nlohmann::json ask(std::string_view text) {
        lines.clear();
        connection.feed(text);
        REQUIRE_FALSE(lines.empty());
        return lines[0];
    }
};

}  // namespace

TEST_CASE("qmp: greeting, negotiation, commands and errors") {
    Client client;
    client.connection.connected();
    REQUIRE(client.lines.size() == 1);
    CHECK(client.lines[0]["QMP"]["version"]["qemu"]["minor"] == 1);
    CHECK(client.ask(R"({"execute":"query-status"})")["error"]["class"] == "CommandNotFound");
    CHECK(client.ask(R"({"execute":"qmp_capabilities","id":"x"})") ==
          nlohmann::json::parse(R"({"return":{},"id":"x"})"));
    CHECK(client.ask(R"({"execute":"qmp_capabilities"})")["error"]["class"] == "CommandNotFound");
    nlohmann::json status = client.ask(R"({"execute":"query-status"})")["return"];
    CHECK(status["status"] == "paused");
    CHECK(status["running"] == false);
    CHECK(client.ask(R"({"execute":"query-name"})")["return"]["name"] == "one");
    CHECK(client.ask(R"({"execute":"query-kvm"})")["return"]["enabled"] == false);
    CHECK(client.ask(R"({"execute":"query-commands"})")["return"].size() > 10);
    CHECK(client.ask(R"({"execute":"nonsense"})")["error"]["desc"] ==
          "The command nonsense has not been found");
    CHECK(client.ask("{bad}")["error"]["class"] == "GenericError");
    CHECK(client.ask("[1]")["error"]["class"] == "GenericError");
    CHECK(client.ask(R"({"foo":1})")["error"]["class"] == "GenericError");
    CHECK(client.ask(R"({"execute":"pmemsave","arguments":{"val":0}})")["error"]["class"] == "GenericError");
    CHECK(
        client.ask(
            R"({"execute":"pmemsave","arguments":{"val":"a","size":1,"filename":"x"}})")["error"]["class"] ==
        "GenericError");
    CHECK(client.ask(
              R"({"execute":"human-monitor-command","arguments":{"command-line":"info name"}})")["return"] ==
          "one\n");
    CHECK(
        client
            .ask(
                R"({"execute":"send-key","arguments":{"keys":[{"type":"qcode","data":"ctrl"},{"type":"number","data":30}]}})")
            .contains("return"));
    CHECK(client.ask(
              R"({"execute":"send-key","arguments":{"keys":[{"type":"qcode","data":"zz"}]}})")["error"]
                                                                                              ["class"] ==
          "GenericError");
}

TEST_CASE("qmp: a guest that found the pool full is in io-error, and human-monitor-command gives room") {
    Client client;
    client.connection.connected();
    client.ask(R"({"execute":"qmp_capabilities"})");
    client.machines.touch(256);
    auto human = [&](const std::string& line) {
        return client.ask(R"({"execute":"human-monitor-command","arguments":{"command-line":")" + line +
                          R"("}})")["return"];
    };
    CHECK(has(human("pool_set 1M"), "no new pages"));
    client.ask(R"({"execute":"cont"})");
    auto status = [&] { return client.ask(R"({"execute":"query-status"})")["return"]["status"]; };
    while (status() == "running") std::this_thread::yield();
    CHECK(status() == "io-error");
    CHECK(human("pool_set 64M") == "");
    CHECK(client.ask(R"({"execute":"cont"})").contains("return"));
    CHECK(status() == "running");
}

TEST_CASE("qmp: commands may be split anywhere, braces in strings count for nothing") {
    Client client;
    client.connection.connected();
    client.ask(R"({"execute":"qmp_capabilities"})");
    client.lines.clear();
    client.connection.feed(R"({"execute":"human-monitor-comm)");
    CHECK(client.lines.empty());
    client.connection.feed(R"(and","arguments":{"command-line":"}{\"info name"}} {"execute":"query-name"})");
    REQUIRE(client.lines.size() == 2);
    CHECK(client.lines[1]["return"]["name"] == "one");
}

TEST_CASE("qmp: deep nesting is one error, and the next command is heard") {
    Client client;
    client.connection.connected();
    client.ask(R"({"execute":"qmp_capabilities"})");
    for (std::string deep :
         {std::string(100'000, '['), std::string(2000, '{'), R"({"execute":)" + std::string(5000, '[')}) {
        client.lines.clear();
        client.connection.feed(deep + "\n" + R"({"execute":"query-name"})");
        REQUIRE(client.lines.size() == 2);
        CHECK(client.lines[0]["error"]["desc"] == "JSON nesting depth limit exceeded");
        CHECK(client.lines[1]["return"]["name"] == "one");
    }
    // What closes itself needs no end of line.
    client.lines.clear();
    client.connection.feed(std::string(3000, '[') + std::string(3000, ']') + R"({"execute":"query-name"})");
    REQUIRE(client.lines.size() == 2);
    // As deep as may be is a parse like others.
    CHECK(has(client.ask(std::string(1024, '[') + std::string(1024, ']'))["error"]["desc"],
              "must be a JSON object"));
    client.lines.clear();
    client.connection.feed("{\"execute\":\"" + std::string(1 << 20, 'x') + "\"}\n" +
                           R"({"execute":"query-name"})");
    REQUIRE(client.lines.size() == 2);
    CHECK(client.lines[1]["return"]["name"] == "one");
}

TEST_CASE("qmp: events follow negotiation, quit is told to the process's owner") {
    Client client;
    client.connection.connected();
    client.lines.clear();
    client.connection.event("STOP", "one", 0);
    CHECK(client.lines.empty());
    client.ask(R"({"execute":"qmp_capabilities"})");
    client.lines.clear();
    client.connection.event("STOP", "one", 0);
    REQUIRE(client.lines.size() == 1);
    CHECK(client.lines[0]["event"] == "STOP");
    CHECK(client.lines[0]["timestamp"].contains("microseconds"));
    client.ask(R"({"execute":"system_powerdown"})");
    REQUIRE(client.lines.size() == 2);
    CHECK(client.lines[1]["event"] == "POWERDOWN");
    CHECK(client.ask(R"({"execute":"quit"})").contains("return"));
    CHECK(client.connection.quit_asked());
    client.lines.clear();
    client.connection.event("SHUTDOWN", "one", 0);
    CHECK(client.lines[0]["data"]["reason"] == "host-qmp-quit");
}
