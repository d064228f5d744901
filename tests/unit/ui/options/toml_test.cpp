// SPDX-License-Identifier: MIT
#include <catch2/catch.hpp>

#include "ui/options/device_option.h"
#include "ui/options/toml_config.h"

using namespace shadowbox;

namespace {

std::string refused(std::string_view text) {
    Invocation invocation;
    auto result = load_toml_text(text, "/dir/m.toml", invocation);
    REQUIRE_FALSE(result);
    return result.error().text();
}

}  // namespace

TEST_CASE("toml: a whole file") {
    Invocation invocation;
    auto result = load_toml_text(R"(
[host]
pool = "512M"
clock = "icount"
seed = 7
sharing = false
scan-rate = 400
[[vm]]
name = "one"
memory = "256M"
vcpus = 2
disks = ["a.img", { file = "/abs/b.img", if = "virtio", readonly = true, snapshot = true }]
cdrom = "c.iso"
floppy = "f.img"
serial = ["stdio", "file:log.txt"]
net = { hostfwd = ["tcp::2222-:22"] }
[[vm]]
kernel = "vmlinuz"
initrd = "i.gz"
append = "console=ttyS0"
net = false
no_reboot = true
debug_exit = 0xf4
[[vm]]
uuid = "01234567-89ab-cdef-0123-456789abcdef"
rtc = "base=localtime"
vga = "none"
vcpus = "4,sockets=2,cores=2"
drives = ["file=d.img,if=none,id=d"]
device = ["virtio-blk-pci,drive=d", "virtio-net-pci,netdev=n"]
netdev = "user,id=n"
fw_cfg = ["opt/a,string=b", "opt/f,file=f.bin"]
debugcon = "file:debug.txt"
debugcon_port = 0x402
no_shutdown = true
nodefaults = true
trust-group = "red"
)",
                                 "/dir/m.toml", invocation);
    INFO((result ? std::string() : result.error().text()));
    REQUIRE(result);
    CHECK(invocation.host.pool_bytes == 512u << 20);
    CHECK(invocation.host.sharing == false);
    CHECK(invocation.host.scan_rate == 400u);
    CHECK(invocation.machines.at(2).trust_group == "red");
    CHECK(invocation.host.icount);
    CHECK(invocation.host.seed == 7);
    REQUIRE(invocation.machines.size() == 3);
    const MachineConfig& one = invocation.machines[0];
    CHECK(one.name == "one");
    CHECK(one.memory_bytes == 256u << 20);
    CHECK(one.vcpus == 2);
    REQUIRE(one.drives.size() == 4);
    auto drive = [&](const std::string& file) {
        for (const DriveConfig& d : one.drives)
            if (d.file == file) return d;
        FAIL("no drive " << file);
        return DriveConfig();
    };
    CHECK(drive("/dir/a.img").interface == DriveInterface::kIde);
    CHECK(drive("/abs/b.img").interface == DriveInterface::kVirtio);
    CHECK((drive("/abs/b.img").read_only && drive("/abs/b.img").snapshot));
    CHECK(drive("/dir/c.iso").cdrom);
    CHECK(drive("/dir/f.img").interface == DriveInterface::kFloppy);
    REQUIRE(one.serials.size() == 2);
    CHECK(one.serials[1].spec == "file:/dir/log.txt");
    CHECK(one.nic.forwards[0].host_port == 2222);
    const MachineConfig& two = invocation.machines[1];
    CHECK(two.kernel == "/dir/vmlinuz");
    CHECK(two.append == "console=ttyS0");
    CHECK_FALSE(two.nic.present);
    CHECK(two.no_reboot);
    CHECK(two.debug_exit_port == 0xF4);
    MachineConfig& three = invocation.machines[2];
    REQUIRE(plug_devices(three));
    CHECK(three.vcpus == 4);
    CHECK_FALSE(three.vga);
    CHECK(three.no_shutdown);
    CHECK(three.drives.at(0).file == "/dir/d.img");
    CHECK(three.drives.at(0).interface == DriveInterface::kVirtio);
    REQUIRE(three.fw_cfg_files.size() == 2);
    CHECK(three.fw_cfg_files[1].file == "/dir/f.bin");
    CHECK(three.debug_console->port == 0x402);
}

TEST_CASE("toml: errors name file and line") {
    auto at = [](std::string_view text, std::string_view where, std::string_view what) {
        std::string message = refused(text);
        INFO(message);
        CHECK(message.starts_with(where));
        CHECK(message.find(what) != std::string::npos);
        CHECK(message.find('\n') == std::string::npos);
    };
    at("[[vm]]\nname = \"a\nmemory = 1\n", "/dir/m.toml:2:", "string");
    at("[[vm]]\nname = \"a\"\nmemroy = \"1M\"\n", "/dir/m.toml:3:", "unknown key 'memroy'");
    at("[[vm]]\nname = \"a\"\nmemroy = \"1M\"\n", "/dir/m.toml:3:", "did you mean memory?");
    at("[[vm]]\nmemory = \"12X\"\n", "/dir/m.toml:2:", "256M");
    at("[[vm]]\nmemory = 0\n", "/dir/m.toml:2:", "at least 1 MiB");
    at("[[vm]]\nvcpus = \"x\"\n", "/dir/m.toml:2:", "not a number");
    at("[host]\nclock = \"sun\"\n[[vm]]\n", "/dir/m.toml:2:", "host, icount");
    at("[host]\nsharing = 1\n[[vm]]\n", "/dir/m.toml:2:", "true or false");
    at("[host]\nscan-rate = 0\n[[vm]]\n", "/dir/m.toml:2:", "pages a second");
    at("[host]\nfoo = 1\n[[vm]]\n", "/dir/m.toml:2:", "unknown key 'foo'");
    at("[[vm]]\n[[vm]]\nnet = 3\n", "/dir/m.toml:3:", "net");
    at("[[vm]]\ndisks = [\n \"a\",\n { fil = \"b\" } ]\n", "/dir/m.toml:4:", "unknown key 'fil'");
    at("[[vm]]\nnet = { hostfwd = [\"tcp:x\"] }\n", "/dir/m.toml:2:", "hostfwd");
    at("[[vm]]\nserial = \"pty\"\n", "/dir/m.toml:2:", "no such back end");
    at("[[vm]]\ndisks = [\"a\"\n", "/dir/m.toml:", "");
    at("vm = 3\n", "/dir/m.toml:1:", "[[vm]]");
    at("x = 3\n", "/dir/m.toml:1:", "unknown key 'x'");
    at("[host]\npool = \"1G\"\n", "/dir/m.toml:", "no [[vm]]");
}
