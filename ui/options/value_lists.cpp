// SPDX-License-Identifier: MIT
#include "ui/options/value_lists.h"

#include <spdlog/fmt/fmt.h>

#include "cpu/state/cpu_model.h"
#include "ui/options/device_option.h"

namespace shadowbox {

namespace {

struct List {
    std::string_view options;  ///< "-a -b "
    const char* text;
};
constexpr List kLists[] = {
    {" machine M ", "pc                   i440FX and PIIX3 (i440fx is the same)\n"},
    {" accel ",
     "jit                  guest code is translated (tcg is the same)\n"
     "interp               guest code is interpreted\n"},
    {" vga ", "std                  VGA with VBE, 16 MiB\nnone\n"},
    {" display ", "sdl                  a window for each guest\nnone\n"},
    {" nic netdev net ", "user                 behind the host: hostfwd=tcp::2222-:22, mac=\nnone\n"},
    {" chardev ",
     "socket               path= or host=,port=, server=on, wait=off\nfile                 "
     "path=\nstdio\nnull\n"},
    {" serial debugcon monitor qmp ",
     "stdio\nnone\nfile:PATH\ntcp:HOST:PORT[,server=on,wait=off]\nunix:PATH[,...]\nchardev:ID\n"},
    {" d ", "in_asm               the guest's code of translated blocks\nout_asm              the host's\n"},
    {" triple-fault ", "freeze\nreset\nexit\n"},
    {" rtc ", "base=utc|localtime|DATE   clock=vm   driftfix=none\n"},
    {" drive ",
     "file=PATH\nif=ide|virtio|floppy|none\nmedia=disk|cdrom\nindex=N\nreadonly=on\nsnapshot=on\nformat="
     "raw\nid=ID\n"},
    {" smp ", "[cpus=]N\nsockets=N\ncores=N\nthreads=N\nmaxcpus=N\n"},
    {" boot ", "order=LETTERS        a floppy, c disk, d CD-ROM, n network\n"},
};

}  // namespace

std::optional<std::string> value_list(std::string_view option) {
    if (option == "cpu")
        return fmt::format("{}\nfeatures (+name, -name): {}\n", kCpuModelNames, cpu_feature_names());
    if (option == "device") return device_list();
    for (const List& list : kLists)
        if (list.options.find(fmt::format(" {} ", option)) != std::string_view::npos) return list.text;
    return std::nullopt;
}

}  // namespace shadowbox
