// SPDX-License-Identifier: MIT
#include "vmm/machine/page_waits.h"

namespace shadowbox {

MachinePageWaits::MachinePageWaits(Hooks hooks)
    : hooks_(std::move(hooks)), state_(std::make_shared<State>()) {
    state_->tell = hooks_.ready;
}

MachinePageWaits::~MachinePageWaits() {
    std::lock_guard lock(state_->mutex);
    state_->tell = nullptr;
    state_->ready.clear();
}

void MachinePageWaits::park(GuestMemory& memory, MemoryAnswer answer, std::function<void()> again) {
    {
        std::lock_guard lock(state_->mutex);
        state_->parked.push_back({&memory, answer, std::move(again)});
        ++state_->count;
    }
    hooks_.parked();
}

void MachinePageWaits::ask() {
    std::vector<Wait> parked;
    {
        std::lock_guard lock(state_->mutex);
        parked.swap(state_->parked);
    }
    for (Wait& wait : parked) {
        if (wait.answer.outcome == MemoryOutcome::kPoolFull) hooks_.want_room(wait.answer.ppn);
        wait.memory->when_ready(wait.answer, [state = state_, again = std::move(wait.again)]() mutable {
            std::lock_guard lock(state->mutex);
            if (!state->tell) return;
            state->ready.push_back(std::move(again));
            state->tell();
        });
    }
}

void MachinePageWaits::run_ready() {
    std::vector<std::function<void()>> ready;
    {
        std::lock_guard lock(state_->mutex);
        ready.swap(state_->ready);
        state_->count -= ready.size();
    }
    for (auto& again : ready) again();
}

bool MachinePageWaits::any() const {
    std::lock_guard lock(state_->mutex);
    return state_->count != 0;
}

}  // namespace shadowbox
