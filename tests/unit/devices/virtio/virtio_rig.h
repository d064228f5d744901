// SPDX-License-Identifier: MIT
// A virtio driver for tests: one device in PCI slot 3 of the test board, its windows found through the
// capabilities as a driver does, and split virtqueues in guest memory written by hand, so that a test can
// also write nonsense. No test cases here.
#pragma once

#include <memory>
#include <utility>

#include "devices/virtio/virtio_pci.h"
#include "tests/unit/devices/board_state.h"
#include "tests/unit/devices/chipset/pci_board.h"

namespace shadowbox::test {

enum VirtioStatus : u8 { kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 0x40 };
enum DescriptorFlags : u16 { kNext = 1, kWritable = 2, kIndirect = 4 };

/// `Device` is made by the function that the constructor gets, once the board is there.
template <class Device>
struct VirtioRig : PciBoard {
    static constexpr unsigned kSlot = 3;
    static constexpr u64 kRings = 0x10000, kRingStride = 0x4000, kBuffers = 0x100000;
    std::unique_ptr<Device> device;
    u64 common_window = 0, isr_window = 0, device_window = 0, notify_window = 0;
    u32 notify_multiplier = 0;
    u16 seen[4] = {};

    template <class Make>
    explicit VirtioRig(Make make) : device(make(*this)) {
        pci.add(kSlot, 0, *device);
        devices.push_back(device.get());
        device->reset();
        set_up_pci(pci);
        find_windows();
    }

    u32 pci_config(unsigned offset, unsigned size = 4) { return config(kSlot, 0, offset, size); }
    void find_windows() {
        for (unsigned at = pci_config(0x34, 1); at; at = pci_config(at + 1, 1)) {
            if (pci_config(at, 1) != 9) continue;
            u64 place = (pci_config(0x10 + 4 * pci_config(at + 4, 1)) & ~15u) + pci_config(at + 8);
            switch (pci_config(at + 3, 1)) {
                case 1: common_window = place; break;
                case 2: notify_window = place, notify_multiplier = pci_config(at + 16); break;
                case 3: isr_window = place; break;
                case 4: device_window = place; break;
                default: break;
            }
        }
    }
    u64 common(u32 offset, unsigned size) { return mmio.read(Gpa(common_window + offset), size); }
    void set_common(u32 offset, unsigned size, u64 value) {
        mmio.write(Gpa(common_window + offset), size, value);
    }
    u64 device_config(u32 offset, unsigned size) { return mmio.read(Gpa(device_window + offset), size); }
    u8 status() { return static_cast<u8>(common(20, 1)); }
    u8 isr() { return static_cast<u8>(mmio.read(Gpa(isr_window), 1)); }

    u64 offered() {
        set_common(0, 4, 0);
        u64 low = common(4, 4);
        set_common(0, 4, 1);
        return low | common(4, 4) << 32;
    }
    void accept(u64 features) {
        for (u32 half : {0u, 1u})
            set_common(8, 4, half), set_common(12, 4, features >> (32 * half) & 0xFFFFFFFF);
    }
    // --- rings: descriptors, available, used, 4 KiB each ---
    static u64 descriptors(unsigned queue) { return kRings + queue * kRingStride; }
    static u64 available(unsigned queue) { return descriptors(queue) + 0x1000; }
    static u64 used(unsigned queue) { return descriptors(queue) + 0x2000; }
    void enable_queue(unsigned queue, u16 size = 16) {
        set_common(22, 2, queue);
        set_common(24, 2, size);
        set_common(32, 8, descriptors(queue));
        set_common(40, 8, available(queue));
        set_common(48, 8, used(queue));
        set_common(28, 2, 1);
        ring_size = size;
    }
    /// The whole initialization sequence of virtio 1.1 3.1.1.
    void start(unsigned queues, u64 features = u64{1} << 32) {
        set_common(20, 1, kAcknowledge | kDriver);
        accept(features);
        set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk);
        for (unsigned i = 0; i < queues; ++i) enable_queue(i);
        set_common(20, 1, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    }

    template <class T>
    void put(u64 where, T value) {
        memory.put(where, value);
    }
    template <class T>
    T get(u64 where) {
        return memory.get<T>(where);
    }
    void put_bytes(u64 where, const std::vector<u8>& bytes) { memory.guest.write(Gpa(where), bytes); }
    void describe_at(u64 table, unsigned index, u64 where, u32 size, u16 flags, u16 next = 0) {
        u64 at = table + index * 16;
        put<u64>(at, where), put<u32>(at + 8, size), put<u16>(at + 12, flags), put<u16>(at + 14, next);
    }
    void describe(unsigned queue, unsigned index, u64 where, u32 size, u16 flags, u16 next = 0) {
        describe_at(descriptors(queue), index, where, size, flags, next);
    }
    /// Puts a chain's head into the available ring.
    void offer(unsigned queue, u16 head) {
        u16 index = get<u16>(available(queue) + 2);
        put<u16>(available(queue) + 4 + 2u * (index % ring_size), head);
        put<u16>(available(queue) + 2, static_cast<u16>(index + 1));
    }
    void notify(unsigned queue) { mmio.write(Gpa(notify_window + queue * notify_multiplier), 2, queue); }
    unsigned used_count(unsigned queue) { return get<u16>(used(queue) + 2); }
    /// The next element of the used ring: head and bytes written; {-1, 0} when there is none.
    std::pair<int, u32> take_used(unsigned queue) {
        if (used_count(queue) == seen[queue]) return {-1, 0};
        u64 at = used(queue) + 4 + 8u * (seen[queue]++ % ring_size);
        return {static_cast<int>(get<u32>(at)), get<u32>(at + 4)};
    }
    /// Carries the whole state of this machine over to a fresh one, memory included.
    void load_into(VirtioRig& other) {
        std::vector<u8> page(4096), saved = save();
        for (u64 i = 0; i < Memory::kPages; ++i) {
            memory.guest.read(Gpa(i * 4096), page);
            other.memory.guest.write(Gpa(i * 4096), page);
        }
        other.time.clock.now_ = time.clock.now_;
        other.ring_size = ring_size;
        std::copy(std::begin(seen), std::end(seen), other.seen);
        loaded_well = load_devices(other, saved);
        if (std::string where = state_difference(*this, other); !where.empty()) {
            WARN("not the same after loading: " << where);
            loaded_well = false;
        }
        other.loaded_well = loaded_well;
    }
    u16 ring_size = 16;
    bool loaded_well = false;
};

}  // namespace shadowbox::test
