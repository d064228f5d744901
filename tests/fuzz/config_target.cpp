// SPDX-License-Identifier: MIT
// What users write: command lines, TOML files, the key=value texts inside. Any text is either taken or
// refused with an error of one line that is not empty.
#include <fmt/format.h>

#include "tests/fuzz/fuzz_input.h"
#include "ui/options/char_option.h"
#include "ui/options/drive_option.h"
#include "ui/options/nic_option.h"
#include "ui/options/option_table.h"
#include "ui/options/size_text.h"
#include "ui/options/toml_config.h"

namespace shadowbox::fuzz {

namespace {

/// Fragments that real configurations consist of; a byte picks one, so that random bytes reach behind the
/// first word.
// clang-format off
constexpr const char* kWords[] = {
    "[[vm]]\n", "[host]\n", "pool", "clock", "seed", "name", "memory", "vcpus", "disks", "cdrom", "floppy", "kernel", "initrd", "append", "bios", "boot",
    "cpu", "serial", "console", "chardevs", "net", "no_reboot", "paused", "triple_fault", "debug_exit", " = ", "\"", "\n", "[", "]", "{", "}", ",", "true",
    "false", "0x", "-1", "999999999999999999999", "1.5", "\"512M\"", "\"icount\"", "\"user\"", "hostfwd", "mac", "tcp:", ":22", "-", "file=", "if=", "virtio",
    "ide", "floppy", "media=cdrom", "readonly=on", "snapshot=on", "index=", "stdio", "null", "mon:stdio", "file:", "unix:", "chardev:", "socket", "id=", "path=",
    "host=", "port=", "server=on", "wait=off", "logfile=", "-m", "-smp", "-drive", "-device", "-chardev", "-serial", "-nic", "-net", "-monitor", "-qmp",
    "-boot", "order=cd", "isa-debug-exit", "iobase=", "virtconsole", "chardev=", "-machine", "pc", "accel=", "-icount", "-seed", "--pool", "-S", ".", "'", "#",
    "\\u12", "\"\"\"", "\xFF", "=", "64K", "18446744073709551616", "0", "1979-05-27T07:32:00Z", "inf", "a.b.c", "-name", "-display", "none"};
// clang-format on

std::string compose(Input& in) {
    std::string text;
    while (!in.empty() && text.size() < 4000) {
        u8 choice = in.byte();
        if (choice < std::size(kWords))
            text += kWords[choice];
        else
            text += static_cast<char>(choice - std::size(kWords) + ' ');
    }
    return text;
}

template <class T>
void judge(const Expected<T>& result, const std::string& text) {
    if (result) return;
    FUZZ_CHECK(!result.error().message.empty(), "an error without words for '{}'", text);
}

}  // namespace

void fuzz_config(std::span<const u8> input) {
    Input in(input);
    u8 kind = in.byte();
    std::string text;
    if (kind & 0x40) {
        auto raw = in.rest();
        text.assign(raw.begin(), raw.end());
    } else {
        text = compose(in);
    }
    Invocation invocation;
    switch (kind % 7) {
        case 0: judge(parse_drive(text), text); break;
        case 1: judge(parse_nic(text), text); break;
        case 2: judge(parse_chardev(text), text); break;
        case 3: judge(parse_char_spec(text, {}), text); break;
        case 4: judge(parse_size(text, 1), text); break;
        case 5: {
            std::vector<std::string> arguments(1);
            for (char c : text) {
                if (c == ' ' || c == '\n')
                    arguments.emplace_back();
                else
                    arguments.back() += c;
            }
            judge(parse_command_line(arguments), text);
            break;
        }
        default: judge(load_toml_text(text, "/nowhere/fuzz.toml", invocation), text); break;
    }
}

}  // namespace shadowbox::fuzz
