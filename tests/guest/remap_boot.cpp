// SPDX-License-Identifier: MIT
// Boots a kernel while a thread remaps its pages at random: moves between machine pages, merges zeros, shares
// equal pages copy-on-write, breaks them again, evicts any page (page tables and code too) to a pager that
// makes everybody wait, gives pages up to be frozen, sampled, staged; epochs end in between. Prints the
// guest's console on stdout and the counts on stderr, under --icount also instructions and memory hash, which
// are those of an unmanaged run (--calm). usage: remap_boot [--jit] [--icount] [--calm] SEED VCPUS KERNEL
// INITRD APPEND
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
#include "tests/shelf_pager.h"
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

enum Kind { kMergeZero, kShare, kDuplicate, kMove, kEvict, kEvictShared, kStage, kFreeze, kSample, kKinds };
constexpr const char* kNames[kKinds + 1] = {"merged",  "shared",         "duplicated", "moved",
                                            "evicted", "evicted shared", "staged",     "frozen",
                                            "sampled", "evicted staged"};

/// REMAP_ONLY=kind in the environment: one kind alone, to find a fault.
const int only = getenv("REMAP_ONLY") ? atoi(getenv("REMAP_ONLY")) : -1;

class Remapper {
 public:
    Remapper(VirtualMachine& vm, test::ShelfPager& pager, u64 seed)
        : memory_(vm.memory()), pager_(pager), random_(seed), pages_(vm.config().memory_bytes / kPageSize) {}
    ~Remapper() {
        for (Mpn mpn : frozen_) memory_.pool().release(mpn, VmId(0), Ppn(mpn.value));
    }

    void run_batch() {
        RemapBatch batch;
        std::vector<unsigned> kinds;
        for (StagedPage& page : staged_) {
            const PmapEntry entry = pager_.put(page.content());
            batch.evict_staged(std::move(page), entry);
            kinds.push_back(kKinds);
        }
        staged_.clear();
        std::vector<FreezePage*> freezes;
        std::vector<StagePage*> stages;
        // A page comes back through another thread and goes by this one alone: at full speed the guest would
        // do nothing but wait.
        const bool may_evict = random_.one_in(32) && pager_.slots_in_use() < 2000;
        // Half of the batches stay near one place, where pages are likely to be in use together.
        const u64 base = random_.below(pages_), spread = random_.one_in(2) ? 256 : pages_;
        for (u64 size = 1 + random_.below(128); size > 0; --size) {
            const Ppn ppn((base + random_.below(spread)) % pages_);
            kinds.push_back(only >= 0 ? static_cast<unsigned>(only)
                                      : static_cast<unsigned>(random_.below(kKinds)));
            const bool takes_away =
                kinds.back() == kEvict || kinds.back() == kEvictShared || kinds.back() == kStage;
            if (takes_away && !may_evict) kinds.back() = kSample;
            switch (kinds.back()) {
                case kMergeZero: batch.merge_zero(memory_, ppn); break;
                case kShare:
                    batch.share(memory_, ppn, memory_, Ppn((base + random_.below(spread)) % pages_));
                    break;
                case kDuplicate: batch.duplicate(memory_, ppn); break;
                case kMove: batch.move(memory_, ppn); break;
                case kEvict:
                    batch.evict(memory_, ppn,
                                [&](std::span<const u8, kPageSize> page) { return pager_.put(page.data()); });
                    break;
                case kEvictShared: {
                    const PmapEntry entry = memory_.pmap().load_stable(ppn);
                    const Mpn mpn =
                        entry.state() == PageState::kShared ? entry.mpn() : memory_.pool().zero_page();
                    batch.evict_shared(
                        memory_.pool(), mpn, [&](VmId vm) { return vm == memory_.vm() ? &memory_ : nullptr; },
                        [&](std::span<const u8, kPageSize> page, u64 owners) {
                            return pager_.put(page.data(), owners);
                        });
                    break;
                }
                case kStage: stages.push_back(&batch.stage(memory_, ppn)); break;
                case kFreeze: freezes.push_back(&batch.freeze(memory_, ppn)); break;
                default: batch.sample(memory_, ppn); break;
            }
        }
        batch.run();
        for (std::size_t i = 0; i < kinds.size(); ++i) {
            const bool done = batch.result(i) == RemapResult::kDone;
            ++(done ? done_[kinds[i]] : skipped_);
        }
        for (FreezePage* freeze : freezes) {
            if (freeze->result() == RemapResult::kDone) frozen_.push_back(freeze->mpn());
        }
        for (StagePage* stage : stages) {
            if (stage->result() == RemapResult::kDone) staged_.push_back(stage->take());
        }
        while (frozen_.size() > 64) {
            memory_.pool().release(frozen_.back(), VmId(0), Ppn(frozen_.back().value));
            frozen_.pop_back();
        }
        if (random_.one_in(16)) memory_.next_epoch();
        ++batches_;
    }
    void report(const char* seed) const {
        fprintf(stderr, "seed %s: %lu batches", seed, batches_);
        for (unsigned kind = 0; kind <= kKinds; ++kind)
            fprintf(stderr, ", %lu %s", done_[kind], kNames[kind]);
        fprintf(stderr, ", %lu skipped, %lu brought back\n", skipped_, pager_.filled());
    }

 private:
    GuestMemory& memory_;
    test::ShelfPager& pager_;
    SeededRandom random_;
    const u64 pages_;
    std::vector<Mpn> frozen_;
    std::vector<StagedPage> staged_;
    u64 batches_ = 0, skipped_ = 0, done_[kKinds + 1] = {};
};

}  // namespace

int main(int argc, char** argv) {
    bool jit = false, icount = false, calm = false;
    for (; argc > 1 && argv[1][0] == '-'; --argc, ++argv) {
        jit |= strcmp(argv[1], "--jit") == 0;
        icount |= strcmp(argv[1], "--icount") == 0;
        calm |= strcmp(argv[1], "--calm") == 0;
    }
    if (argc != 6) {
        fprintf(stderr, "usage: remap_boot [--jit] [--icount] [--calm] SEED VCPUS KERNEL INITRD APPEND\n");
        return 2;
    }
    init_logging(false);
    HostConfig host_config;
    host_config.icount = icount;
    host_config.seed = 1;
    MachineConfig config;
    config.name = "remapped";
    config.memory_bytes = 256u << 20;
    config.vcpus = static_cast<unsigned>(atoi(argv[2]));
    config.kernel = argv[3];
    config.initrd = argv[4];
    config.append = argv[5];
    config.no_reboot = true;
    config.jit = jit;
    // Room for what the remapper has frozen, beside what the guest has.
    host_config.pool_bytes = config.memory_bytes + (96u << 20);
    auto pager = std::make_shared<test::ShelfPager>(1);
    auto host = Host::create(host_config, config.memory_bytes, pager);
    if (!host) return fprintf(stderr, "%s\n", host.error().text().c_str()), 2;
    Console console;
    auto vm = (*host)->add(config, {{&console}, {}});
    if (!vm) return fprintf(stderr, "%s\n", vm.error().text().c_str()), 2;

    std::atomic<bool> ending{false};
    // Ends with the guest's power, not after its memory is gone.
    (*vm)->set_observer([&](VmEvent event) {
        if (event == VmEvent::kEnded) ending = true;
    });
    std::thread remapper([&] {
        Remapper remap(**vm, *pager, strtoull(argv[1], nullptr, 0));
        while (!ending && !calm) remap.run_batch();
        remap.report(argv[1]);
    });
    (*host)->start_all();
    (*host)->wait_all();
    ending = true;
    remapper.join();
    const int status = (*vm)->exit_status();
    if (icount) {
        fprintf(stderr, "retired %lu memory %016lx\n", static_cast<unsigned long>((*vm)->record().retired),
                static_cast<unsigned long>((*vm)->record().memory_hash));
    }
    (*host)->stop_all();
    return status;
}
