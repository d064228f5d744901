// SPDX-License-Identifier: MIT
// One IDE channel: the command and control ports, device selection, reset, the interrupt wire and the bus
// master, for up to two drives. Part of Piix3Ide (piix3_ide.h). ATA/ATAPI-7 volume 2, 7 and 9.
#pragma once

#include <array>
#include <memory>

#include "devices/storage/ide_drive.h"

namespace shadowbox {

class IdeChannel final : public IdeHost {
 public:
    IdeChannel(GuestMemory& memory, IrqLine irq, std::function<bool()> may_master);

    /// Before the machine starts. nullptr: nobody there.
    void attach(unsigned unit, std::unique_ptr<IdeDrive> drive);
    IdeDrive* drive(unsigned unit) const { return drives_[unit & 1].get(); }

    PortHandler& command_ports() { return command_ports_; }  ///< 8 ports
    PortHandler& control_port() { return control_port_; }    ///< 1 port
    IdeBusMaster& master() { return master_; }

    void reset();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

    void interrupt_changed() override;
    IdeBusMaster* bus_master() override;

 private:
    class CommandPorts final : public PortHandler {
     public:
        explicit CommandPorts(IdeChannel& channel) : channel_(channel) {}
        u32 port_read(u16 offset, unsigned size) override { return channel_.read(offset, size); }
        void port_write(u16 offset, unsigned size, u32 value) override {
            channel_.write(offset, size, value);
        }
        u32 port_read_run(u16 offset, unsigned size, std::span<u8> to) override;
        u32 port_write_run(u16 offset, unsigned size, std::span<const u8> from) override;

     private:
        IdeChannel& channel_;
    };
    u32 read(u16 offset, unsigned size);
    void write(u16 offset, unsigned size, u32 value);
    u8 read_register(u16 offset);
    void write_register(u16 offset, u8 value);
    void write_control(u8 value);
    void run_command(u8 code);
    IdeDrive* selected() const { return drives_[state_.selected].get(); }

    IrqLine irq_;
    std::function<bool()> may_master_;
    IdeBusMaster master_;
    CommandPorts command_ports_;
    PortFunctions control_port_;
    std::array<std::unique_ptr<IdeDrive>, 2> drives_;
    struct State {
        u8 selected, control;
    } state_{};
};

}  // namespace shadowbox
