// SPDX-License-Identifier: MIT
// Tracking as a service: epochs end by guest time, and go with the guest.
#include "vmm/memory/access_tracking.h"

#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

TEST_CASE("epochs: a service ends them by guest time, and counts what the guest uses") {
    for (bool icount : {false, true}) {
        FirmwareHost machines(icount);
        VmHandle vm = machines.run("tracked", spinning());
        CHECK_FALSE(tracking_period(*machines.host, *vm));
        track_accesses(*machines.host, vm, 2'000'000);
        CHECK(tracking_period(*machines.host, *vm) == 2'000'000);
        const PageEpochs& epochs = vm->memory().epochs();
        wait_until([&] { return epochs.now() > 20; });
        wait_until(
            [&] { return epochs.ended().accessed == 2 && epochs.ended().dirtied == 1; });  // code, counter
        track_accesses(*machines.host, vm, 5'000'000);  // takes the other's place
        CHECK(machines.host->services().list().size() == 1);
        CHECK(tracking_period(*machines.host, *vm) == 5'000'000);
        stop_tracking(*machines.host, vm);
        CHECK_FALSE(epochs.on());
        CHECK(machines.host->services().list().empty());
        FirmwareHost::wait_for_progress(*vm);
        CHECK(epochs.running().accessed == 0);
    }
}

TEST_CASE("epochs: the service of a guest that ended goes") {
    FirmwareHost machines(false);
    VmHandle stays = machines.run("stays", spinning());
    VmHandle ends = machines.run("ends", spinning());
    track_accesses(*machines.host, ends, 1'000'000);
    ends->stop();
    wait_until([&] { return machines.host->services().list().empty(); });
    VmHandle removed = machines.run("removed", spinning());
    track_accesses(*machines.host, removed, 1'000'000);
    machines.host->remove(removed);
    removed.reset();
    wait_until([&] { return machines.host->services().list().empty(); });
    FirmwareHost::wait_for_progress(*stays);
}
