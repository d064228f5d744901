// SPDX-License-Identifier: MIT
// The 82077AA floppy controller with two drives: all commands that SeaBIOS, GRUB, DOS and Linux use, by DMA
// channel 2 or by programmed I/O. Mechanics take no time. SCAN commands end as invalid. 82077AA data sheet
// (Intel 290166), sections 3 to 6.
//
// A save state must be taken while no block request is in flight (the VM drains its disks first).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/chipset/dma8237.h"
#include "devices/storage/floppy_drive.h"

namespace shadowbox {

class Floppy82077 final : public Device {
 public:
    Floppy82077(Dma8237& dma, IrqLine irq6);
    ~Floppy82077() override;

    std::string_view name() const override { return "floppy"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& ports() { return ports_; }                    ///< 6 ports at 3F0h
    PortHandler& direction_port() { return direction_port_; }  ///< 3F7h

    void insert(unsigned drive, BlockBackend* disk) { drives_[drive & 1].insert(disk); }
    FloppyDrive& drive(unsigned index) { return drives_[index & 1]; }

 private:
    static constexpr unsigned kDmaChannel = 2;
    enum class Phase : u8 { kCommand, kDisk, kWaitDma, kPioRead, kPioWrite, kResult };
    struct Row;
    static const Row kCommands[];
    static const Row* find_command(u8 byte);

    u8 read(u16 offset);
    void write(u16 offset, u8 value);
    void write_digital_output(u8 value);
    u8 main_status() const;
    u8 read_fifo();
    void write_fifo(u8 value);
    void controller_reset();
    void abandon_transfer();

    void run_command();
    void specify();
    void sense_drive();
    void recalibrate();
    void sense_interrupt();
    void seek();
    void read_id();
    void version();
    void dump_registers();
    void perpendicular();
    void configure();
    void lock();
    void transfer();
    void format_track();

    FloppyDrive& selected() { return drives_[state_.command[1] & 1]; }
    bool drive_exists() const { return (state_.command[1] & 3) < 2; }
    unsigned head() const { return (state_.command[1] >> 2) & 1; }
    void finish_seek(unsigned cylinder);
    bool check_medium(bool writing);
    unsigned sectors_ahead();
    void start_data(std::size_t bytes, bool to_disk);
    void dma_ready();
    void read_disk();
    void write_disk(std::size_t bytes);
    void disk_done(IoStatus status);
    void fill_memory();
    void data_moved(std::size_t bytes, bool terminal_count);
    void advance_address(unsigned sectors);
    void end_transfer(u8 status0, u8 status1, u8 status2);
    void result(std::initializer_list<u8> bytes);
    void raise_irq();
    void update_irq();

    Dma8237& dma_;
    IrqLine irq_;
    PortFunctions ports_, direction_port_;
    std::array<FloppyDrive, 2> drives_;
    u64 generation_ = 0;  // a reset abandons requests in flight: their completions no longer match
    std::shared_ptr<std::vector<u8>> buffer_ = std::make_shared<std::vector<u8>>();
    struct State {
        u8 dor, tdr, rate;
        Phase phase;
        std::array<u8, 16> command, results;
        u8 command_size, result_size, result_position;
        u8 seek_status[4];  // ST0 to report by SENSE INTERRUPT, 0 none
        bool irq_pending;
        u8 specify[2], configure[3], perpendicular;
        bool locked;
        u32 position;  // bytes moved by programmed I/O
        u32 transfer_bytes;
        bool to_disk, formatting, verifying, terminal_count;
        bool filled;  // what the disk gave waits for the DMA channel, or for memory
    } state_{};
};

}  // namespace shadowbox
