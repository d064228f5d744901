// SPDX-License-Identifier: MIT
// What ATA disks and packet devices share: the task file, the PIO data register with its buffer, waiting for
// bus-master DMA, and the interrupt. Subclasses (ide_disk.h, atapi_cdrom.h) execute commands. The channel
// (ide_channel.h) owns it and decides which drive is addressed. ATA/ATAPI-7 volume 1, 6; volume 2, 9.
#pragma once

#include <memory>
#include <vector>

#include "devices/bus/device.h"
#include "devices/storage/ide_bits.h"
#include "devices/storage/ide_bus_master.h"

namespace shadowbox {

/// What the channel offers a drive.
class IdeHost {
 public:
    virtual ~IdeHost() = default;
    virtual void interrupt_changed() = 0;
    /// nullptr while the function may not master the bus.
    virtual IdeBusMaster* bus_master() = 0;
};

class IdeDrive {
 public:
    explicit IdeDrive(std::string label) : label_(std::move(label)) {}
    virtual ~IdeDrive();

    // --- for the channel ---
    void connect(IdeHost& host) { host_ = &host; }
    u8 read_register(u16 offset, bool high_order) const;
    /// Command block registers 1-6; both drives of a channel hear them.
    void write_register(u16 offset, u8 value);
    u8 status() const { return state_.status; }
    bool interrupt() const { return state_.interrupt; }
    void acknowledge();
    void command(u8 code);
    u32 read_data(unsigned size);
    void write_data(unsigned size, u32 value);
    /// As PortHandler's: up to, not including, the element that ends the block.
    u32 read_run(unsigned size, std::span<u8> to);
    u32 write_run(unsigned size, std::span<const u8> from);
    /// SRST was set (busy) and cleared, or EXECUTE DEVICE DIAGNOSTIC.
    void begin_reset();
    void end_reset();
    /// The interrupt that ends EXECUTE DEVICE DIAGNOSTIC.
    void finish_diagnostic() { raise(); }
    /// Software started the bus master.
    void dma_started();

    void power_on();
    void serialize(Archive& archive);
    virtual void inspect(Inspector& inspector) const;
    const std::string& label() const { return label_; }

 protected:
    enum class Phase : u8 {
        kIdle,
        kDataIn,   ///< DRQ: the host reads bytes [position, block_end) of the buffer
        kDataOut,  ///< DRQ: the host writes them
        kDmaWait,  ///< for software to start the bus master
        kBackend,  ///< a block request is in flight
        kInReset,  ///< SRST is set
    };
    struct Registers {
        u8 error, features, count, lba[3], device, status;
        u8 old_features, old_count, old_lba[3];  // what the "previous content" reads, for LBA48
        bool interrupt;
        Phase phase;
        u32 position, block_end;
    };
    virtual void execute(u8 code) = 0;
    /// The host moved the whole block.
    virtual void data_in_done() = 0;
    virtual void data_out_done() = 0;
    /// The bus master runs: gather memory and move.
    virtual void run_dma() = 0;
    /// Power-on, and what survives no software reset.
    virtual void reset_settings(bool hard) = 0;
    virtual void write_signature() = 0;
    virtual u8 status_after_reset() const { return ata::kReady | ata::kSeekDone; }
    virtual void serialize_settings(Archive& archive) = 0;
    /// Commands accepted while busy (DEVICE RESET).
    virtual bool interrupts_anything(u8) const { return false; }

    u32 elements_before_end(unsigned size, std::size_t bytes) const;
    void raise();
    void set_idle(u8 status, u8 error = 0);
    void complete(u8 error = 0);  ///< idle, with an interrupt; ERR set if `error`
    void data_in(u32 from, u32 to, bool with_interrupt = true);
    void data_out(u32 from, u32 to, bool with_interrupt);
    void wait_for_dma();
    /// The memory of a DMA command's transfer; nullptr: ended or stalled, the caller returns.
    std::shared_ptr<DmaPages> gather(u64 bytes, bool to_memory);
    void dma_finished(u8 error);
    void begin_backend();
    /// Wraps what to do when a request completes: skipped if the command was abandoned meanwhile.
    template <class Work>
    BlockBackend::Completion when_done(Work work) {
        begin_backend();
        return [this, alive = std::weak_ptr<int>(alive_), generation = generation_, keep = buffer_,
                work = std::move(work)](IoStatus status) {
            if (!alive.expired() && generation == generation_) work(status);
        };
    }
    /// Forgets the transfer; completions in flight no longer match. Gives a new buffer, for a request in
    /// flight still uses the old one.
    void abandon();
    std::vector<u8>& buffer() { return *buffer_; }

    Registers state_{};

 private:
    std::string label_;
    IdeHost* host_ = nullptr;
    u64 generation_ = 0;
    std::shared_ptr<int> alive_ = std::make_shared<int>(0);
    std::shared_ptr<std::vector<u8>> buffer_ = std::make_shared<std::vector<u8>>();
};

}  // namespace shadowbox
