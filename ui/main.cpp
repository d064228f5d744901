// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstring>
#include "core/log.h"
#include "devices/char_backend.h"
#include "vmm/host.h"
#include "cpu/vcpu.h"
#include "vmm/virtual_machine.h"
using namespace shadowbox;
struct Out : CharBackend { void write(std::span<const u8> b) override { fwrite(b.data(), 1, b.size(), stdout); fflush(stdout); } };
int main(int argc, char** argv) {
    init_logging(true);
    MachineConfig c; c.name = "vm1"; HostConfig h; c.no_reboot = true;
    for (int i = 1; i < argc; ++i) {
        auto is = [&](const char* s) { return !strcmp(argv[i], s); };
        if (is("-m")) c.memory_bytes = strtoull(argv[++i], 0, 0) << 20;
        else if (is("-kernel")) c.kernel = argv[++i];
        else if (is("-initrd")) c.initrd = argv[++i];
        else if (is("-append")) c.append = argv[++i];
        else if (is("-smp")) c.vcpus = atoi(argv[++i]);
        else if (is("-icount")) h.icount = true;
    }
    auto host = Host::create(h, c.memory_bytes);
    if (!host) { fprintf(stderr, "%s\n", host.error().text().c_str()); return 2; }
    static Out out;
    auto vm = (*host)->add(c, {&out});
    if (!vm) { fprintf(stderr, "%s\n", vm.error().text().c_str()); return 2; }
    (*host)->start_all();
    (*host)->wait_all();
    int s = (*vm)->exit_status();
    (*host)->stop_all();
    fprintf(stderr, "%s\nretired %lu hash %lx\n", (*vm)->vcpu(0).dump().c_str(), (*vm)->vcpu(0).retired, (*vm)->memory().content_hash());
    return s;
}
