// SPDX-License-Identifier: MIT
// QEMU's everyday spellings: taken with their meaning, or with one line that says what they do not do.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "core/host/file.h"
#include "cpu/state/cpu_model.h"
#include "ui/options/option_table.h"

using namespace shadowbox;

namespace {

Expected<MachineConfig> machine(std::vector<std::string> arguments, bool settled = true) {
    arguments.push_back("-S");
    auto result = parse_command_line(arguments);
    if (!result) return tl::unexpected(result.error());
    if (settled)
        if (auto ok = settle(*result, false); !ok) return tl::unexpected(ok.error());
    return result->machines.at(0);
}
MachineConfig taken(const std::vector<std::string>& arguments) {
    auto result = machine(arguments);
    INFO((result ? std::string() : result.error().text()));
    REQUIRE(result);
    return *result;
}
std::string refused(const std::vector<std::string>& arguments) {
    auto result = machine(arguments);
    REQUIRE_FALSE(result);
    return result.error().text();
}
std::string help(const std::vector<std::string>& arguments) {
    auto result = parse_command_line(arguments);
    REQUIRE(result);
    return result->help;
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct Image {
    std::string path;
    explicit Image(const char* name, std::string content = std::string(1 << 20, '\0'))
        : path(
              (std::filesystem::temp_directory_path() / fmt::format("sb-q-{}-{}", getpid(), name)).string()) {
        std::ofstream(path) << content;
    }
    ~Image() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("qemu: -smp with sockets, cores and threads") {
    CHECK(taken({"-smp", "4"}).vcpus == 4);
    CHECK(taken({"-smp", "cpus=3"}).vcpus == 3);
    MachineConfig whole = taken({"-smp", "8,sockets=2,cores=2,threads=2"});
    CHECK(whole.vcpus == 8);
    CHECK(whole.threads_per_core == 2);
    CHECK(whole.cores_per_socket == 2);
    CHECK(whole.notes.empty());
    CHECK(taken({"-smp", "sockets=2,cores=4"}).vcpus == 8);
    CHECK(taken({"-smp", "8,sockets=2"}).cores_per_socket == 4);
    CHECK(has(refused({"-smp", "4,cores=0"}), "cores must be at least 1"));
    CHECK(taken({"-smp", "4,threads=2"}).cores_per_socket == 2);
    CHECK(taken({"-smp", "6,cores=6"}).notes.empty());  // one package of any size
    MachineConfig odd = taken({"-smp", "6,sockets=2,cores=3"});
    CHECK(odd.vcpus == 6);
    CHECK(odd.cores_per_socket == 0);
    REQUIRE(odd.notes.size() == 1);
    CHECK(has(taken({"-smp", "2,maxcpus=4"}).notes.at(0), "maxcpus"));
    CHECK(has(refused({"-smp", "4,sockets=3,cores=1,threads=1"}), "not 4"));
    CHECK(has(refused({"-smp", "2,clusters=2"}), "clusters"));
    CHECK(has(refused({"-smp", "65"}), "1 to 64"));
}

TEST_CASE("qemu: -cpu models and features") {
    for (const char* name : {"host", "max", "qemu64", "v2"}) CHECK(taken({"-cpu", name}).cpu_model == name);
    const CpuModel& less = **find_cpu_model("v2,-aes,-rdrand", false);
    CHECK_FALSE(less.has(OpFeature::Aes));
    CHECK_FALSE(less.has(OpFeature::Rdrand));
    CHECK(less.has(OpFeature::Sse42));
    CHECK((*find_cpu_model("v2,aes=off", false))->has(OpFeature::Aes) == false);
    CHECK_FALSE((*find_cpu_model("qemu64", false))->has(OpFeature::Ssse3));
    CHECK((*find_cpu_model("qemu64,+ssse3", false))->has(OpFeature::Ssse3));
    CHECK((*find_cpu_model("v2,+ssse3", false)) == &cpu_model_v2());
    // What needs a feature goes with it.
    CHECK_FALSE((*find_cpu_model("max,-avx", false))->has(OpFeature::Avx2));
    CHECK_FALSE((*find_cpu_model("max,-xsave", false))->has(OpFeature::Avx));
    if (host_runs_v3()) CHECK((*find_cpu_model("v2,+avx2", false))->has(OpFeature::Avx));
    CHECK(taken({"-cpu", "max,-vmx"}).notes.empty());
    CHECK(has(taken({"-cpu", "max,+vmx"}).notes.at(0), "vmx"));
    CHECK(has(taken({"-cpu", "host,-x2apic"}).notes.at(0), "always there"));
    CHECK(has(refused({"-cpu", "max,+nonsense"}), "nonsense"));
    CHECK(has(refused({"-cpu", "max,aes=yes"}), "aes=on"));
    CHECK(has(refused({"-cpu", "pentium"}), "not a CPU model"));
}

TEST_CASE("qemu: -netdev and -device virtio-net-pci in any order") {
    std::vector<std::string> netdev = {"-netdev", "user,id=n0,hostfwd=tcp::2222-:22"},
                             card = {"-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:07"};
    for (bool card_first : {false, true}) {
        std::vector<std::string> all = card_first ? card : netdev;
        all.insert(all.end(), card_first ? netdev.begin() : card.begin(),
                   card_first ? netdev.end() : card.end());
        MachineConfig config = taken(all);
        CHECK(config.nic.present);
        CHECK(config.nic.mac == "52:54:00:00:00:07");
        CHECK(config.nic.forwards.at(0).guest_port == 22);
        CHECK(config.notes.empty());
    }
    CHECK(taken({"-netdev", "user,id=user.0", "-device", "virtio-net,netdev=user.0"}).nic.present);
    CHECK(has(refused({"-device", "virtio-net-pci,netdev=x"}), "no -netdev has the id 'x'"));
    CHECK(has(refused({"-netdev", "user"}), "id=NAME"));
    CHECK(has(refused({"-device", "e1000,netdev=x"}), "no such device"));
    CHECK(has(taken({"-netdev", "user,id=n"}).notes.at(0), "left out"));
    CHECK(taken({"-net", "nic,model=virtio", "-net", "user,hostfwd=tcp::2222-:22"}).nic.forwards.size() == 1);
    CHECK(taken({"-net", "user,hostfwd=tcp::2222-:22", "-net", "nic,macaddr=52:54:00:00:00:01"}).nic.mac ==
          "52:54:00:00:00:01");
    CHECK_FALSE(taken({"-net", "none"}).nic.present);
}

TEST_CASE("qemu: -drive if=none and the device that names it") {
    Image one("one"), two("two");
    MachineConfig config = taken({"-drive", "if=none,id=a,file=" + one.path + ",format=raw", "-drive",
                                  "if=none,id=b,file=" + two.path, "-device", "virtio-blk-pci,drive=b",
                                  "-device", "ide-hd,drive=a,bus=ide.1,unit=1"});
    REQUIRE(config.drives.size() == 2);
    CHECK(config.drives[0].file == two.path);  // the order of the devices
    CHECK(config.drives[0].interface == DriveInterface::kVirtio);
    CHECK(config.drives[1].interface == DriveInterface::kIde);
    CHECK(config.drives[1].index == 3);
    CHECK(config.memory_bytes == 512u << 20);
    MachineConfig disc = taken({"-drive", "if=none,id=c,file=" + one.path, "-device", "ide-cd,drive=c"});
    CHECK(disc.drives.at(0).cdrom);
    CHECK(disc.drives.at(0).read_only);
    std::string drive = "if=none,id=a,file=" + one.path;
    CHECK(has(refused({"-drive", drive, "-device", "virtio-blk-pci,drive=z"}), "no -drive has the id 'z'"));
    CHECK(
        has(refused({"-drive", drive, "-device", "ide-hd,drive=a", "-device", "ide-hd,drive=a"}), "in use"));
    CHECK(has(refused({"-drive", "if=none,file=" + one.path}), "id=NAME"));
    MachineConfig lone = taken({"-drive", drive});
    CHECK(lone.drives.empty());
    CHECK(has(lone.notes.at(0), "left out"));
    CHECK(has(taken({"-drive", drive, "-device", "virtio-blk-pci,drive=a,bootindex=1"}).notes.at(0),
              "bootindex"));
}

TEST_CASE("qemu: -rtc, -uuid, -vga, -nodefaults, -fw_cfg, -debugcon") {
    CHECK(taken({"-rtc", "base=localtime"}).rtc.local_time);
    CHECK(*taken({"-rtc", "base=2006-06-17T16:01:21"}).rtc.start == 1150560081);
    CHECK_FALSE(refused({"-rtc", "base=2106-02-30"}).empty());
    CHECK(has(refused({"-drive", "if=none,id=a,file=/x", "-drive", "if=none,id=a,file=/y"}), "twice"));
    CHECK(*taken({"-rtc", "base=1970-01-02"}).rtc.start == 86400);
    CHECK(taken({"-rtc", "base=utc,clock=vm"}).notes.empty());
    CHECK(has(taken({"-rtc", "base=utc,clock=host,driftfix=slew"}).notes.at(1), "driftfix"));
    CHECK(has(refused({"-rtc", "base=yesterday"}), "localtime"));
    CHECK((*taken({"-uuid", "550e8400-e29b-41d4-a716-446655440000"}).uuid)[1] == 0x0E);
    for (const char* bad :
         {"", "550e8400", "550e8400-e29b-41d4-a716-44665544000g", "550e8400ee29b-41d4-a716-446655440000"})
        CHECK(has(refused({"-uuid", bad}), "write"));
    CHECK_FALSE(taken({"-vga", "none"}).vga);
    CHECK(has(refused({"-vga", "cirrus"}), "std, none"));
    MachineConfig bare = taken({"-nodefaults", "-display", "none"});
    CHECK_FALSE(bare.vga);
    CHECK_FALSE(bare.nic.present);
    CHECK_FALSE(bare.balloon);
    CHECK_FALSE(bare.random);
    CHECK(bare.serials.at(0).spec == "null");
    MachineConfig asked = taken(
        {"-nodefaults", "-display", "none", "-device", "virtio-rng-pci", "-nic", "user", "-vga", "std"});
    CHECK(asked.random);
    CHECK(asked.nic.present);
    CHECK(asked.vga);
    CHECK(taken({"-fw_cfg", "name=opt/a,string=x"}).fw_cfg_files.at(0).text == "x");
    CHECK(taken({"-fw_cfg", "opt/a,file=/x"}).fw_cfg_files.at(0).file == "/x");
    CHECK(has(taken({"-fw_cfg", "etc/a,string=x"}).notes.at(0), "opt/"));
    CHECK(has(refused({"-fw_cfg", "opt/a"}), "file=PATH"));
    CHECK(has(refused({"-fw_cfg", "opt/a,string=x", "-fw_cfg", "opt/a,string=y"}), "twice"));
    CHECK(taken({"-debugcon", "file:/tmp/x"}).debug_console->port == 0xE9);
    for (bool first : {false, true}) {
        std::vector<std::string> all = {"-debugcon", "file:/tmp/x"};
        all.insert(first ? all.begin() : all.end(), {"-global", "isa-debugcon.iobase=0x402"});
        CHECK(taken(all).debug_console->port == 0x402);
    }
    CHECK(has(refused({"-global", "kvm-pit.lost_tick_policy=discard"}), "known"));
    CHECK(taken({"-no-shutdown"}).no_shutdown);
}

TEST_CASE("qemu: -daemonize needs no terminal and takes none") {
    CHECK(taken({"-daemonize", "-display", "none"}).serials.at(0).spec == "null");
    CHECK(has(refused({"-daemonize", "-display", "none", "-serial", "stdio"}), "no terminal"));
    CHECK(parse_command_line({"-S", "-pidfile", "x"})->pid_file == "x");
    CHECK(taken({"-enable-kvm", "-no-user-config", "-parallel", "none"}).vcpus == 1);
}

TEST_CASE("options: help as a value lists what there is") {
    CHECK(has(help({"-device", "help"}), "virtio-blk-pci"));
    CHECK(has(help({"-cpu", "help"}), "qemu64"));
    CHECK(has(help({"-cpu", "?"}), "avx2"));
    CHECK(has(help({"-machine", "help"}), "pc"));
    CHECK(has(help({"-M", "help"}), "i440fx"));
    for (const char* option :
         {"accel", "vga", "display", "nic", "netdev", "net", "chardev", "serial", "monitor", "qmp", "d",
          "rtc", "drive", "smp", "boot", "triple-fault", "debugcon"}) {
        INFO(option);
        CHECK(help({std::string("-") + option, "help"}).ends_with('\n'));
    }
    CHECK(help({"-kernel", "help"}).empty());  // a file of that name
}

TEST_CASE("options: a suggestion only when it is near") {
    auto said = [](const char* option) { return parse_command_line({option}).error().text(); };
    CHECK(has(said("-nograhpic"), "did you mean -nographic?"));
    CHECK(has(said("-nographics"), "-nographic"));
    CHECK(has(said("-cdorm"), "-cdrom"));
    CHECK(has(said("-kernal"), "-kernel"));
    CHECK(has(said("-seri"), "-serial"));
    for (const char* far :
         {"-vnc", "-usb", "-k", "-x", "-tb", "-foo", "-soundhw", "-sandbox", "-spice", "-msg"}) {
        INFO(far);
        CHECK_FALSE(has(said(far), "did you mean"));
    }
}

TEST_CASE("settle: a machine with disks has 512 MiB unless told, one without 128") {
    Image image("mem");
    CHECK(taken({image.path}).memory_bytes == 512u << 20);
    CHECK(taken({"-m", "64", image.path}).memory_bytes == 64u << 20);
    CHECK(taken({"-m", "size=128M", image.path}).memory_bytes == 128u << 20);
    CHECK(taken({"-vga", "std"}).memory_bytes == 128u << 20);
}

TEST_CASE("images: a FIFO, a socket's like and compressed files get one true line") {
    std::string fifo =
        (std::filesystem::temp_directory_path() / fmt::format("sb-fifo-{}", getpid())).string();
    REQUIRE(std::system(("mkfifo " + fifo).c_str()) == 0);
    CHECK(has(refused({fifo}), "is a FIFO"));
    CHECK(has(refused({"-kernel", fifo}), "is a FIFO"));
    auto read = File::read_all(fifo);  // whoever reads it, -fw_cfg too
    REQUIRE_FALSE(read);
    CHECK(has(read.error().text(), "is a FIFO"));
    CHECK(has(refused({"-kernel", "/dev/zero"}), "character device"));
    std::filesystem::remove(fifo);
    CHECK(has(refused({"/dev/null"}), "character device"));
    for (auto [magic, name] : {std::pair<std::string, std::string>{"\x1f\x8b", "gzip"},
                               {"\xfd"
                                "7zXZ",
                                "xz"},
                               {"\x28\xb5\x2f\xfd", "zstd"},
                               {"BZh9", "bzip2"},
                               {"PK\x03\x04", "zip"}}) {
        Image packed("packed", magic + std::string(1000 - magic.size(), 'x'));  // of any size
        std::string said = refused({packed.path});
        CHECK(has(said, "is compressed (" + name + ")"));
    }
}
