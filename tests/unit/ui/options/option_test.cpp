// SPDX-License-Identifier: MIT
#include <unistd.h>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "ui/options/char_option.h"
#include "ui/options/drive_option.h"
#include "ui/options/image_check.h"
#include "ui/options/key_values.h"
#include "ui/options/nic_option.h"
#include "ui/options/option_table.h"
#include "ui/options/size_text.h"

using namespace shadowbox;

namespace {

Invocation parsed(const std::vector<std::string>& arguments) {
    auto result = parse_command_line(arguments);
    INFO((result ? std::string() : result.error().text()));
    REQUIRE(result);
    return *result;
}

std::string refused(const std::vector<std::string>& arguments) {
    auto result = parse_command_line(arguments);
    REQUIRE_FALSE(result);
    std::string text = result.error().text();
    CHECK(text.find('\n') == std::string::npos);
    return text;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct TemporaryImage {
    std::string path;
    TemporaryImage(const char* name, std::size_t size)
        : path((std::filesystem::temp_directory_path() / fmt::format("sb-{}-{}", getpid(), name)).string()) {
        std::ofstream(path) << std::string(size, '\0');
    }
    ~TemporaryImage() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("options: every row has a unique name, one setter, and a place in help and manual") {
    std::set<std::string> names;
    std::string help = help_text(), manual = manual_page();
    for (const OptionRow& row : option_table()) {
        CHECK(names.insert(row.name).second);
        CHECK((row.set_host != nullptr) != (row.set_machine != nullptr));
        if (row.help) CHECK(has(help, std::string("  -") + row.name));
        if (row.help) CHECK(has(manual, ".B \\-" + std::string(row.name).substr(0, 1)));
    }
}

TEST_CASE("options: one dash or two, value apart or after '='") {
    for (const char* spelling : {"-m", "--m"})
        CHECK(parsed({spelling, "64M", "-S"}).machines[0].memory_bytes == 64 << 20);
    CHECK(parsed({"--m=64M", "-S"}).machines[0].memory_bytes == 64 << 20);
    CHECK(parsed({"--no-reboot"}).machines[0].no_reboot);
    CHECK(parsed({"-no-reboot"}).machines[0].no_reboot);
}

TEST_CASE("options: sizes") {
    CHECK(*parse_size("256M", 1) == 256u << 20);
    CHECK(*parse_size("2G", 1) == u64{2} << 30);
    CHECK(*parse_size("2GiB", 1) == u64{2} << 30);
    CHECK(*parse_size("512", 1 << 20) == u64{512} << 20);
    for (const char* bad :
         {"", "M", "-1", "12X", "12MM", "99999999999999999999", "99999999999999T", "1.5G", "0x"}) {
        INFO(bad);
        CHECK_FALSE(parse_size(bad, 1));
    }
}

TEST_CASE("options: wrong values are one line that names the option and what would do") {
    CHECK(has(refused({"-m", "0"}), "-m: '0': a PC needs at least 1 MiB"));
    CHECK(has(refused({"-m", "99T"}), "more than a guest can address"));
    CHECK(has(refused({"-m", "abc"}), "256M"));
    CHECK(has(refused({"-m"}), "-m needs a value"));
    CHECK(has(refused({"-smp", "0"}), "1 to 64"));
    CHECK(has(refused({"-cpu", "pentium"}), "not a CPU model: v2"));
    CHECK(has(refused({"-accel", "kvm"}), "interp"));
    CHECK(has(refused({"-accel", "jit,tb-size=2G"}), "tb-size"));
    CHECK(has(refused({"-accel", "jit,thread=multi"}), "known: tb-size, count, hits"));
    CHECK(has(refused({"-machine", "q35"}), "known: pc"));
    CHECK(has(refused({"-display", "gtk"}), "sdl, none"));
    CHECK(has(refused({"-device", "e1000"}), "isa-debug-exit"));
    CHECK(has(refused({"-boot", "z"}), "a (floppy)"));
    CHECK(has(refused({"-triple-fault", "explode"}), "freeze, reset, exit"));
    CHECK(has(refused({"-snapsho"}), "did you mean -snapshot"));
    CHECK(has(refused({"-completely-unknown"}), "--help"));
    CHECK(has(refused({"--snapshot=on"}), "takes no value"));
    CHECK(has(refused({"-seed", "x"}), "not a number"));
    CHECK(has(refused({}), "nothing to run"));
}

TEST_CASE("options: machine options apply to every guest, images make guests") {
    Invocation two = parsed({"/x/a.img", "/y/b.img", "-m", "64M", "-smp", "2"});
    REQUIRE(two.machines.size() == 2);
    CHECK(two.machines[0].name == "a");
    CHECK(two.machines[1].name == "b");
    CHECK(two.machines[1].memory_bytes == 64 << 20);
    CHECK(two.machines[1].vcpus == 2);
    CHECK(two.machines[1].drives[0].file == "/y/b.img");
    Invocation named = parsed({"a.img", "b.img", "-name", "n"});
    CHECK(named.machines[0].name == "n-1");
}

TEST_CASE("options: QEMU lines of old are understood") {
    Invocation nomad = parsed({"-machine", "type=pc,accel=tcg", "-name", "job", "-m", "512M", "-drive",
                               "file=a.img", "-nographic"});
    CHECK(nomad.machines[0].name == "job");
    CHECK(nomad.nographic);
    CHECK(parsed({"-accel", "jit,hits=on", "-kernel", "k"}).machines[0].count_hits);
    CHECK_FALSE(parsed({"-accel", "jit", "-kernel", "k"}).machines[0].count_hits);
    CHECK(parsed({"-accel", "tcg,tb-size=32", "-kernel", "k"}).machines[0].code_cache_bytes == 32 << 20);
    MachineConfig exit = parsed({"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", "k",
                                 "-append", "a b", "-boot", "order=dc"})
                             .machines[0];
    CHECK(exit.debug_exit_port == 0xF4);
    CHECK(exit.append == "a b");
    CHECK(exit.boot_order == "dc");
    CHECK(parsed({"-version"}).help == "shadowbox version 0.1\n");
}

TEST_CASE("options: -boot takes an order, once, menu and the menu's time") {
    auto boot = [](const char* text) { return parsed({"-kernel", "k", "-boot", text}).machines[0]; };
    CHECK(boot("a").boot_order == "a");
    CHECK(boot("order=cd,once=a").boot_order == "cd");
    CHECK(boot("order=cd,once=a").boot_once == "a");
    CHECK(boot("once=d").boot_order.empty());
    CHECK(boot("menu=on").boot_menu);
    CHECK_FALSE(boot("menu=off").boot_menu);
    CHECK(boot("dc,menu=on,splash-time=500").boot_menu_wait_ms == 500);
    CHECK(boot("dc,menu=on,splash-time=500").boot_order == "dc");
    for (const char* wrong :
         {"", "x", "aa", "order=", "once=z", "menu=perhaps", "splash-time=70000", "fast=on"})
        CHECK_FALSE(parse_command_line({"-kernel", "k", "-boot", wrong}));
}

TEST_CASE("drive: keys, defaults and errors") {
    DriveConfig drive = *parse_drive("file=a,,b.img,if=virtio,snapshot=on,readonly=off,index=3,format=raw");
    CHECK(drive.file == "a,b.img");
    CHECK(drive.interface == DriveInterface::kVirtio);
    CHECK(drive.snapshot);
    CHECK_FALSE(drive.read_only);
    CHECK(drive.index == 3);
    CHECK(parse_drive("file=c.iso,media=cdrom")->read_only);
    CHECK(has(parse_drive("file=x,bar=1").error().text(), "unknown key 'bar'"));
    CHECK(has(parse_drive("if=ide").error().text(), "file=PATH"));
    CHECK(has(parse_drive("file=x,if=scsi").error().text(), "ide, virtio, floppy"));
    CHECK(has(parse_drive("file=x,format=qcow2").error().text(), "qemu-img convert"));
    CHECK_FALSE(parse_drive("file=x,index=9"));
    CHECK_FALSE(parse_drive("file=x,index=a"));
    CHECK_FALSE(parse_drive("file=x,readonly=maybe"));
    CHECK_FALSE(parse_drive("file=x,if=virtio,media=cdrom"));
}

TEST_CASE("nic: host forwards") {
    CHECK_FALSE(parse_nic("none")->present);
    NicConfig nic =
        *parse_nic("user,hostfwd=tcp::2222-:22,hostfwd=udp:127.0.0.1:53-10.0.2.15:53,model=virtio");
    REQUIRE(nic.forwards.size() == 2);
    CHECK(nic.forwards[0].host_port == 2222);
    CHECK(nic.forwards[0].guest_port == 22);
    CHECK(nic.forwards[1].udp);
    CHECK(nic.forwards[1].host_address == "127.0.0.1");
    CHECK(nic.forwards[1].guest_address == "10.0.2.15");
    for (const char* bad : {"tap", "user,model=e1000", "user,hostfwd=tcp::22", "user,hostfwd=tcp::99999-:22",
                            "user,hostfwd=tcp::0-:22", "user,mac=12", "user,x=1"}) {
        INFO(bad);
        CHECK_FALSE(parse_nic(bad));
    }
}

TEST_CASE("serial lines and chardevs") {
    ChardevConfig tcp = *parse_char_spec("tcp:localhost:4444,server=on,wait=off", {});
    CHECK(tcp.kind == "socket");
    CHECK(tcp.host == "localhost");
    CHECK(tcp.port == 4444);
    CHECK(tcp.server);
    CHECK_FALSE(tcp.wait);
    ChardevConfig old = *parse_char_spec("unix:/tmp/s,server,nowait", {});
    CHECK((old.server && !old.wait && old.path == "/tmp/s"));
    CHECK(parse_char_spec("unix:/tmp/s,server=on", {})->wait);
    CHECK_FALSE(parse_char_spec("tcp:h:1", {})->server);
    CHECK(parse_char_spec("file:/a:b", {})->path == "/a:b");
    ChardevConfig chardev = *parse_chardev("socket,id=s0,host=h,port=1,server=on,wait=off,logfile=/l");
    CHECK(chardev.log_file == "/l");
    CHECK(parse_char_spec("chardev:s0", {chardev})->host == "h");
    CHECK(has(parse_char_spec("chardev:s1", {chardev}).error().text(), "'s1'"));
    for (const char* bad : {"pty", "tcp:host", "tcp:h:x", "tcp:h:70000", "file:", "unix:", "unix:/x,foo=1",
                            "tcp:h:1,wait=on"}) {
        INFO(bad);
        CHECK_FALSE(parse_char_spec(bad, {}));
    }
    for (const char* bad : {"socket,id=a", "socket,path=/x", "pty,id=a", "socket,id=a,path=/x,host=h,port=1",
                            "file,id=a", "null,id=a,path=/x"}) {
        INFO(bad);
        CHECK_FALSE(parse_chardev(bad));
    }
    CHECK(has(refused({"-serial", "stdio", "-serial", "null", "-serial", "null", "-serial", "null", "-serial",
                       "null", "-S"}),
              "four serial lines"));
}

TEST_CASE("images: what cannot be one is refused with its reason") {
    auto check = [](const std::string& file) {
        return check_image({file, DriveInterface::kIde, false, false, false, -1});
    };
    CHECK(has(check("/nonexistent.img").error().text(), "does not exist"));
    CHECK(has(check("/tmp").error().text(), "is a directory"));
    TemporaryImage empty("empty", 0), cut("cut", 1000), good("good", 1024);
    CHECK(has(check(empty.path).error().text(), "is empty"));
    CHECK(has(check(cut.path).error().text(), "cut off"));
    CHECK(check(good.path));
    std::ofstream(cut.path, std::ios::trunc) << "QFI\xfb" << std::string(1020, '\0');
    CHECK(has(check(cut.path).error().text(), "qcow2"));
}

TEST_CASE("images: one writable image serves one guest") {
    TemporaryImage image("twice", 1024);
    MachineConfig machine;
    machine.drives.push_back({image.path, DriveInterface::kIde, false, false, false, -1});
    CHECK(check_drives_together({machine}));
    CHECK(has(check_drives_together({machine, machine}).error().text(), "-snapshot"));
    machine.drives[0].snapshot = true;
    CHECK(check_drives_together({machine, machine}));
    MachineConfig clash;
    clash.drives.push_back({image.path, DriveInterface::kIde, false, true, false, 2});
    clash.drives.push_back({image.path, DriveInterface::kIde, true, true, false, 2});
    CHECK(has(check_drives_together({clash}).error().text(), "position 2 is taken"));
}

TEST_CASE("settle: names are unique, nographic puts serial line and monitor on the terminal") {
    Invocation invocation;
    invocation.machines.resize(2);
    invocation.machines[0].name = invocation.machines[1].name = "x";
    invocation.nographic = true;
    REQUIRE(settle(invocation, true));
    CHECK(invocation.machines[1].name == "x-2");
    CHECK(invocation.machines[0].serials[0].spec == "stdio");
    REQUIRE(invocation.monitor);
    CHECK(invocation.monitor->kind == "stdio");
    CHECK(invocation.display == DisplayKind::kNone);
    CHECK(invocation.escape_key);
}

TEST_CASE("settle: -monitor none stays none, a window takes no terminal, contradictions are refused") {
    Invocation quiet;
    quiet.machines.resize(1);
    quiet.nographic = true;
    quiet.monitor = ChardevConfig{"", "null", "", "", ""};
    REQUIRE(settle(quiet, false));
    CHECK(quiet.monitor->kind == "null");
    Invocation window;
    window.machines.resize(1);
    REQUIRE(settle(window, true));
    CHECK(window.display == DisplayKind::kSdl);
    CHECK(window.machines[0].serials[0].spec == "null");
    Invocation both;
    both.machines.resize(1);
    both.nographic = true;
    both.display = DisplayKind::kSdl;
    CHECK_FALSE(settle(both, true));
    Invocation append;
    append.machines.resize(1);
    append.machines[0].append = "x";
    CHECK(has(settle(append, false).error().text(), "-kernel"));
}
