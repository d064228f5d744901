// SPDX-License-Identifier: MIT
// Boots a kernel while a thread remaps its pages at random: moves between machine pages, merges zeros, shares
// equal pages copy-on-write, breaks them again. Prints the guest's console on stdout and the counts on
// stderr. usage: remap_boot [--jit] SEED VCPUS KERNEL INITRD APPEND
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/log.h"
#include "core/seeded_random.h"
#include "cpu/state/vcpu.h"
#include "devices/serial/char_backend.h"
#include "mmu/remap.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

using namespace shadowbox;

namespace {

struct Console final : CharBackend {
    void write(std::span<const u8> bytes) override {
        fwrite(bytes.data(), 1, bytes.size(), stdout);
        fflush(stdout);
    }
};

/// REMAP_ONLY=0 to 3 in the environment: merge, share, duplicate or move alone, to find a fault.
const int only = getenv("REMAP_ONLY") ? atoi(getenv("REMAP_ONLY")) : -1;
struct Counts {
    u64 batches = 0, done = 0, skipped = 0;
};

void remap_at_random(VirtualMachine& vm, SeededRandom& random, Counts& counts) {
    GuestMemory& memory = vm.memory();
    u64 pages = vm.config().memory_bytes / kPageSize;
    RemapBatch batch;
    unsigned size = 1 + static_cast<unsigned>(random.below(128));
    // Half of the batches stay near one place, where pages are likely to be in use together.
    u64 base = random.below(pages), spread = random.one_in(2) ? 256 : pages;
    for (unsigned i = 0; i < size; ++i) {
        Ppn ppn((base + random.below(spread)) % pages);
        unsigned kind = only >= 0 ? static_cast<unsigned>(only) : static_cast<unsigned>(random.below(5));
        switch (kind) {
            case 0: batch.merge_zero(memory, ppn); break;
            case 1: batch.share(memory, ppn, memory, Ppn((base + random.below(spread)) % pages)); break;
            case 2: batch.duplicate(memory, ppn); break;
            default: batch.move(memory, ppn); break;
        }
    }
    batch.run();
    ++counts.batches;
    counts.done += batch.done();
    counts.skipped += size - batch.done();
}

}  // namespace

int main(int argc, char** argv) {
    const bool jit = argc > 1 && strcmp(argv[1], "--jit") == 0;
    argc -= jit;
    argv += jit;
    if (argc != 6) {
        fprintf(stderr, "usage: remap_boot [--jit] SEED VCPUS KERNEL INITRD APPEND\n");
        return 2;
    }
    init_logging(false);
    HostConfig host_config;
    MachineConfig config;
    config.name = "remapped";
    config.memory_bytes = 256u << 20;
    config.vcpus = static_cast<unsigned>(atoi(argv[2]));
    config.kernel = argv[3];
    config.initrd = argv[4];
    config.append = argv[5];
    config.no_reboot = true;
    config.jit = jit;
    auto host = Host::create(host_config, config.memory_bytes);
    if (!host) return fprintf(stderr, "%s\n", host.error().text().c_str()), 2;
    Console console;
    auto vm = (*host)->add(config, {{&console}, {}});
    if (!vm) return fprintf(stderr, "%s\n", vm.error().text().c_str()), 2;

    std::atomic<bool> ending{false};
    Counts counts;
    (*host)->start_all();
    std::thread remapper([&] {
        SeededRandom random(strtoull(argv[1], nullptr, 0));
        while (!ending) remap_at_random(**vm, random, counts);
    });
    (*host)->wait_all();
    ending = true;
    remapper.join();
    int status = (*vm)->exit_status();
    (*host)->stop_all();
    fprintf(stderr, "seed %s: %lu batches, %lu pages remapped, %lu skipped\n", argv[1], counts.batches,
            counts.done, counts.skipped);
    return status;
}
