// SPDX-License-Identifier: MIT
// What tests of save states ask of a Board, whichever devices are on it: load a state, say where two machines
// differ, spoil a state, and sum up what a guest reads from a machine. No test cases here.
#pragma once

#include <algorithm>

#include "core/inspect.h"
#include "core/seeded_random.h"
#include "test_board.h"

namespace shadowbox::test {

/// False if the archive was refused.
inline bool load_devices(Board& to, const std::vector<u8>& saved) {
    Archive archive(saved);
    for (Device* device : to.devices) device->serialize(archive);
    return !archive.failed();
}

/// Carries everything over that a save state of the board's owner holds: devices, memory, the A20 gate, the
/// disk, the time.
inline void load_board(Board& to, Board& from) {
    std::vector<u8> page(kPageSize);
    for (u64 i = 0; i < Memory::kPages; ++i) {
        from.memory.guest.read(Gpa(i * kPageSize), page);
        to.memory.guest.write(Gpa(i * kPageSize), page);
    }
    to.disk.content = from.disk.content;
    to.intr = from.intr;
    to.time.clock.now_ = from.time.clock.now_;
    Archive saving;
    from.gate.serialize(saving);
    for (Device* device : from.devices) device->serialize(saving);
    Archive loading(saving.bytes());
    to.gate.serialize(loading);
    for (Device* device : to.devices) device->serialize(loading);
}

/// The first device whose state is not the same on both, and at which byte; empty if none.
inline std::string state_difference(Board& one, Board& two) {
    for (std::size_t i = 0; i < one.devices.size(); ++i) {
        Archive a, b;
        one.devices[i]->serialize(a), two.devices[i]->serialize(b);
        if (a.bytes() == b.bytes()) continue;
        auto at =
            std::mismatch(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end()).first -
            a.bytes().begin();
        return std::string(one.devices[i]->name()) + " at byte " + std::to_string(at);
    }
    return "";
}

inline std::string inspected(const Board& board) {
    InspectNode node;
    Inspector inspector(node);
    for (Device* device : board.devices) device->inspect(inspector);
    return inspect_text(node);
}

/// `bytes` of the state overwritten at random, and sometimes its end cut off.
inline std::vector<u8> corrupted(std::vector<u8> state, SeededRandom& random, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) state[random.below(state.size())] = static_cast<u8>(random.next());
    if (random.one_in(4)) state.resize(random.below(state.size()));
    return state;
}

/// What a guest has read from a machine, as one number: two machines that behave alike give the same.
inline u64 seen = 0;
inline void note(u64 value) { seen = (seen ^ value) * 0x9E3779B97F4A7C15 + 1; }
template <class Act>
u64 answers(Act act) {
    seen = 0;
    act();
    return seen;
}

}  // namespace shadowbox::test
