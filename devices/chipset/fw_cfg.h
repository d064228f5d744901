// SPDX-License-Identifier: MIT
// QEMU's fw_cfg device (docs/specs/fw_cfg): named and numbered blobs that firmware reads through ports
// 510h/511h or by DMA at 514h. bios/ fills it; SeaBIOS and OVMF learn everything about the machine from it.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "devices/bus/device.h"
#include "devices/bus/parked_request.h"

namespace shadowbox {

/// Numbered items that firmware knows.
enum class FwCfgKey : u16 {
    kSignature = 0x00,
    kId = 0x01,
    kUuid = 0x02,
    kRamSize = 0x03,
    kNographic = 0x04,
    kCpus = 0x05,
    kMachineId = 0x06,
    kKernelAddress = 0x07,
    kKernelSize = 0x08,
    kKernelCommandLine = 0x09,
    kInitrdAddress = 0x0A,
    kInitrdSize = 0x0B,
    kBootDevice = 0x0C,
    kNuma = 0x0D,
    kBootMenu = 0x0E,
    kMaxCpus = 0x0F,
    kKernelEntry = 0x10,
    kKernelData = 0x11,
    kInitrdData = 0x12,
    kCommandLineAddress = 0x13,
    kCommandLineSize = 0x14,
    kCommandLineData = 0x15,
    kSetupAddress = 0x16,
    kSetupSize = 0x17,
    kSetupData = 0x18,
    kFileDirectory = 0x19,
    kFirstFile = 0x20,
    kAcpiTables = 0x8000,
    kSmbios = 0x8001,
    kIrq0Override = 0x8002,
    kE820 = 0x8003,
    kHpet = 0x8004,
};

class FwCfg final : public Device {
 public:
    using Written = std::function<void(std::span<const u8> content)>;

    explicit FwCfg(GuestMemory& memory);

    std::string_view name() const override { return "fw-cfg"; }
    void reset() override;
    void serialize(Archive& archive) override;  ///< registers; items belong to the machine's configuration
    void inspect(Inspector& inspector) const override;

    void set_page_waits(PageWaits& waits) { parked_.set_page_waits(waits); }

    PortHandler& ports() { return ports_; }          ///< 2 ports at 510h
    PortHandler& dma_ports() { return dma_ports_; }  ///< 8 ports at 514h

    void add_bytes(FwCfgKey key, std::vector<u8> bytes);
    void add_string(FwCfgKey key, const std::string& text);  ///< with its final zero
    void add_u16(FwCfgKey key, u16 value);
    void add_u32(FwCfgKey key, u32 value);
    void add_u64(FwCfgKey key, u64 value);
    /// A file of the directory ("etc/e820", "bootorder"). False if the name is too long (55 characters),
    /// known already, or the directory is full. With `written` the guest may write it by DMA.
    bool add_file(const std::string& name, std::vector<u8> bytes, Written written = nullptr);
    /// Changes a file's content; false if there is none of that name. Not while firmware reads it.
    bool replace_file(const std::string& name, std::vector<u8> bytes);
    /// The content of a file, nullptr if there is none.
    const std::vector<u8>* file(const std::string& name) const;

 private:
    static constexpr u16 kMaxFiles = 0x100;
    struct Item {
        std::vector<u8> bytes;
        std::string file_name;
        Written written;
    };
    /// A DMA request under way: the descriptor as the guest wrote it, and what is left of it.
    struct Request {
        bool active, fetched, failed;
        u64 descriptor, where;
        u32 control, length;
    };
    Item* selected();
    void select(u16 key);
    u8 read_byte();
    void rebuild_directory();
    void go_on();
    MemoryAnswer step();
    MemoryAnswer fetch();
    MemoryAnswer read_to_guest();
    MemoryAnswer write_from_guest();

    GuestMemory& memory_;
    ParkedRequest parked_;
    PortFunctions ports_, dma_ports_;
    std::map<u16, Item> items_;
    u16 next_file_ = static_cast<u16>(FwCfgKey::kFirstFile);
    struct State {
        u16 key;
        u32 position;
        u32 dma_high;  // upper half of the descriptor's address
        Request request;
    } state_{};
};

}  // namespace shadowbox
