// SPDX-License-Identifier: MIT
#include "ui/control/guest_input.h"

#include <algorithm>

#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

GuestInput::GuestInput(VirtualMachine& vm) : vm_(vm) {
    Journal& journal = vm.journal();
    // Pairs of key and pressed.
    keyboard_ = journal.add_source("keyboard", [&vm](std::span<const u8> bytes) {
        for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
            vm.board().keyboard.key_event(static_cast<Key>(bytes[i]), bytes[i + 1]);
    });
    mouse_ = journal.add_source("mouse", [&vm](std::span<const u8> bytes) {
        if (bytes.size() != 4) return;
        vm.board().keyboard.mouse_event(static_cast<i8>(bytes[0]), static_cast<i8>(bytes[1]),
                                        static_cast<i8>(bytes[2]), bytes[3]);
    });
    power_ = journal.add_source("power-button",
                                [&vm](std::span<const u8>) { vm.board().acpi.press_power_button(); });
}

void GuestInput::key(Key key, bool pressed) {
    vm_.journal().post(keyboard_, {static_cast<u8>(key), pressed});
}

void GuestInput::combination(std::span<const Key> keys) {
    std::vector<u8> bytes;
    for (Key key : keys) bytes.insert(bytes.end(), {static_cast<u8>(key), 1});
    for (std::size_t i = keys.size(); i-- > 0;) bytes.insert(bytes.end(), {static_cast<u8>(keys[i]), 0});
    vm_.journal().post(keyboard_, std::move(bytes));
}

void GuestInput::mouse(int dx, int dy, int wheel, u8 buttons) {
    do {
        int x = std::clamp(dx, -100, 100), y = std::clamp(dy, -100, 100), z = std::clamp(wheel, -7, 7);
        vm_.journal().post(mouse_, {static_cast<u8>(x), static_cast<u8>(y), static_cast<u8>(z), buttons});
        dx -= x, dy -= y, wheel -= z;
    } while (dx || dy || wheel);
}

void GuestInput::power_button() { vm_.journal().post(power_, {1}); }

}  // namespace shadowbox
