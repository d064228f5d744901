// SPDX-License-Identifier: MIT
// Virtio consoles on the command line and in TOML files.
#include <catch2/catch.hpp>

#include "ui/options/option_table.h"
#include "ui/options/toml_config.h"

using namespace shadowbox;

TEST_CASE(
    "options: -device virtconsole names a chardev, which may come later; virtio-serial-pci is taken as "
    "well") {
    auto parsed = parse_command_line({"-device", "virtio-serial-pci,id=v", "-device",
                                      "virtconsole,bus=v.0,chardev=c", "-chardev", "file,id=c,path=/tmp/x",
                                      "-kernel", "/proc/self/exe", "-nic", "none"});
    REQUIRE(parsed);
    const MachineConfig& machine = parsed->machines.at(0);
    REQUIRE(machine.consoles.size() == 1);
    CHECK(machine.consoles[0].spec == "chardev:c");
    REQUIRE(settle(*parsed, false));
    auto nobody = parse_command_line({"-device", "virtconsole,chardev=c", "-kernel", "/proc/self/exe"});
    REQUIRE(nobody);
    auto settled = settle(*nobody, false);
    REQUIRE_FALSE(settled);
    CHECK(settled.error().text().find("no -chardev has the id 'c'") != std::string::npos);
    CHECK_FALSE(parse_command_line({"-device", "virtconsole"}));
    CHECK_FALSE(parse_command_line({"-device", "virtconsole,chardev=c,nr=3"}));
}

TEST_CASE("toml: a console is a line or a list of lines, four at most") {
    Invocation invocation;
    REQUIRE(load_toml_text("[[vm]]\nconsole = [\"stdio\", \"file:log\"]\n[[vm]]\nconsole = \"null\"\n",
                           "/dir/a.toml", invocation));
    REQUIRE(invocation.machines.size() == 2);
    CHECK(invocation.machines[0].consoles.at(1).spec == "file:/dir/log");
    CHECK(invocation.machines[1].consoles.at(0).spec == "null");
    Invocation refused;
    CHECK_FALSE(load_toml_text("[[vm]]\nconsole = [\"null\", \"null\", \"null\", \"null\", \"null\"]\n",
                               "/dir/a.toml", refused));
    CHECK_FALSE(load_toml_text("[[vm]]\nconsole = [[\"null\"]]\n", "/dir/a.toml", refused));
}
