// SPDX-License-Identifier: MIT
// What every virtio device shares: the modern PCI transport (virtio 1.1, 4.1) with its four register windows
// in one BAR, feature negotiation, status, queues and interrupts. A device says its type, features,
// configuration bytes, and what to do when a queue is notified. Non-transitional: drivers of virtio 1.0 and
// later (Linux since 2015, SeaBIOS).
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "devices/bus/page_waits.h"
#include "devices/bus/pci_device.h"
#include "devices/bus/pci_msix.h"
#include "devices/virtio/virtqueue.h"

namespace shadowbox {

class VirtioPci : public PciDevice {
 public:
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;
    /// Where requests wait for guest pages. Without it they are tried again at the next notification.
    void set_page_waits(PageWaits& waits) { waits_ = &waits; }
    /// Nothing waits for a page: what a save state needs. A request under way is not part of one.
    bool settled() const;

 protected:
    static constexpr u64 kVersion1 = u64{1} << 32, kIndirectDescriptors = u64{1} << 28;

    /// `type`: 1 net, 2 block, 3 console, 4 entropy, 5 balloon. `features`: besides VERSION_1 and indirect
    /// descriptors.
    VirtioPci(std::string name, u16 type, u32 class_code, u64 features, unsigned queues, GuestMemory& memory,
              ApicMessageSink& sink);

    virtual void queue_notified(unsigned queue) = 0;
    /// The driver reset the device: forget what is under way.
    virtual void device_reset() {}
    /// Something of the time before a reset still reads or writes guest memory. The driver sees a status
    /// other than 0 until it ends (virtio 1.1, 4.1.4.3.1).
    virtual bool under_way() const { return false; }
    /// Device configuration space; beyond it reads 0.
    virtual u8 config_byte(u32 offset) const { return 0; }
    virtual void config_byte_written(u32 offset, u8 value) {}

    Virtqueue& queue(unsigned index) { return queues_[index]; }
    u64 features() const { return state_.driver_features; }
    bool ready() const { return state_.status & 4 && !(state_.status & 0x40); }
    /// The next request of a queue; a ring that makes no sense sets DEVICE_NEEDS_RESET.
    std::optional<VirtqChain> take(unsigned queue);
    /// Takes what waits now, not what is added meanwhile: its notification comes after this one, and a driver
    /// that never stops adding must not hold the device lock for ever. `work` reads all that it needs before
    /// it does anything: where a page is away (the queue is stalled) it returns, and comes again later.
    template <class Work>
    void for_each_request(unsigned index, Work work) {
        for (u16 left = queues_[index].waiting(); left && returning_[index].empty(); --left) {
            auto chain = take(index);
            if (!chain) return;
            work(std::move(*chain));
            if (!queues_[index].stalled()) continue;
            queues_[index].put_back();
            break;
        }
        settle(index);
    }
    /// Returns a request and interrupts if the driver wants that.
    void finish(unsigned queue, const VirtqChain& chain, u32 written);
    /// The same after `fill` wrote the request's buffers and said how many bytes. It is called again from
    /// the start while a page is away, so it writes the same bytes every time; requests return in order.
    void finish_filled(unsigned queue, VirtqChain chain, std::function<u32()> fill);
    /// Requests of the queue wait to be returned: no more are taken.
    bool returning(unsigned queue) const { return !returning_[queue].empty(); }
    void config_changed();
    GuestMemory& memory() { return memory_; }
    /// Changes with each reset, so that late completions of earlier requests are recognised.
    u64 epoch() const { return epoch_; }

 private:
    class Window final : public MmioHandler {
     public:
        explicit Window(VirtioPci& device) : device_(device) {}
        u64 mmio_read(u64 offset, unsigned size) override;
        void mmio_write(u64 offset, unsigned size, u64 value) override;

     private:
        VirtioPci& device_;
    };
    void add_window_capability(u8 type, u32 offset, u32 size, u32 notify_multiplier);
    u64 common_read(u32 offset) const;
    void common_write(u32 offset, unsigned size, u64 value);
    void set_status(u8 value);
    void reset_device();
    void interrupt(u16 vector, u8 isr_bit);
    void check_broken(unsigned queue);
    void settle(unsigned queue);
    void return_filled(unsigned queue);
    void resume(unsigned queue);

    GuestMemory& memory_;
    const u64 offered_;
    Window window_;
    Msix* msix_ = nullptr;
    std::vector<Virtqueue> queues_;
    struct Returning {
        VirtqChain chain;
        std::function<u32()> fill;
    };
    std::vector<std::deque<Returning>> returning_;  // by queue
    std::vector<u8> parked_;                        // by queue: resume() will be called
    PageWaits* waits_ = nullptr;
    u64 epoch_ = 0;
    struct State {
        u32 device_feature_select = 0, driver_feature_select = 0;
        u64 driver_features = 0;
        u16 config_vector = 0xFFFF, queue_select = 0;
        u8 status = 0, generation = 0, isr = 0;
    } state_;
};

}  // namespace shadowbox
