// SPDX-License-Identifier: MIT
// fw_cfg items, file directory and DMA.
#include "devices/chipset/fw_cfg.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/log.h"

namespace shadowbox {

namespace {
constexpr u16 kKeyMask = 0x3FFF, kArchLocal = 0x8000;  // bit 14 was the write channel
constexpr u32 kIdTraditional = 1, kIdDma = 2;
constexpr u64 kDmaSignature = 0x51454D5520434647;  // "QEMU CFG"
constexpr u32 kDmaError = 1, kDmaRead = 2, kDmaSkip = 4, kDmaSelect = 8, kDmaWrite = 16;
constexpr std::size_t kNameBytes = 56, kChunk = 4096;

u32 big32(u32 value) { return __builtin_bswap32(value); }

template <class T>
std::vector<u8> little_bytes(T value) {
    std::vector<u8> bytes(sizeof value);
    for (std::size_t i = 0; i < sizeof value; ++i) bytes[i] = static_cast<u8>(value >> (i * 8));
    return bytes;
}
}  // namespace

FwCfg::FwCfg(GuestMemory& memory)
    : memory_(memory),
      parked_(memory),
      ports_(
          [this](u16 offset, unsigned size) {
              if (offset == 0) return size == 2 ? 0xFFFFu : 0xFFu;  // the selector is write-only
              return u32{read_byte()};
          },
          [this](u16 offset, unsigned size, u32 value) {
              // A byte write selects a low key; writes to the data port have done nothing since QEMU 2.4.
              if (offset == 0) select(static_cast<u16>(value));
          },
          2),
      dma_ports_(
          [](u16 offset, unsigned size) {
              u64 value = 0;  // the signature is big-endian, like everything at these ports
              for (unsigned i = 0; i < size; ++i)
                  value |= (kDmaSignature >> (56 - (offset + i) * 8) & 0xFF) << (i * 8);
              return static_cast<u32>(value);
          },
          [this](u16 offset, unsigned size, u32 value) {
              if (size != 4) return;
              if (offset == 0) state_.dma_high = big32(value);
              if (offset == 4) {
                  u64 descriptor = u64{state_.dma_high} << 32 | big32(value);
                  state_.dma_high = 0;
                  state_.request = {.active = true, .descriptor = descriptor};
                  go_on();
              }
          },
          4) {
    add_bytes(FwCfgKey::kSignature, {'Q', 'E', 'M', 'U'});
    add_u32(FwCfgKey::kId, kIdTraditional | kIdDma);
    rebuild_directory();
}

void FwCfg::reset() {
    parked_.cancel();
    state_ = State{};
}

void FwCfg::add_bytes(FwCfgKey key, std::vector<u8> bytes) {
    items_[static_cast<u16>(key)] = Item{std::move(bytes), {}, nullptr};
}

void FwCfg::add_string(FwCfgKey key, const std::string& text) {
    add_bytes(key, std::vector<u8>(text.c_str(), text.c_str() + text.size() + 1));
}

void FwCfg::add_u16(FwCfgKey key, u16 value) { add_bytes(key, little_bytes(value)); }
void FwCfg::add_u32(FwCfgKey key, u32 value) { add_bytes(key, little_bytes(value)); }
void FwCfg::add_u64(FwCfgKey key, u64 value) { add_bytes(key, little_bytes(value)); }

bool FwCfg::add_file(const std::string& name, std::vector<u8> bytes, Written written) {
    bool full = next_file_ >= static_cast<u16>(FwCfgKey::kFirstFile) + kMaxFiles;
    if (full || name.size() >= kNameBytes || file(name)) return false;
    items_[next_file_++] = Item{std::move(bytes), name, std::move(written)};
    rebuild_directory();
    return true;
}

bool FwCfg::replace_file(const std::string& name, std::vector<u8> bytes) {
    for (auto& [key, item] : items_) {
        if (item.file_name != name || name.empty()) continue;
        item.bytes = std::move(bytes);
        rebuild_directory();
        return true;
    }
    return false;
}

const std::vector<u8>* FwCfg::file(const std::string& name) const {
    for (const auto& [key, item] : items_)
        if (item.file_name == name && !name.empty()) return &item.bytes;
    return nullptr;
}

/// Count and entries {size, key, reserved, name[56]}, big-endian, ordered by name.
void FwCfg::rebuild_directory() {
    std::vector<std::pair<std::string, u16>> files;
    for (const auto& [key, item] : items_)
        if (!item.file_name.empty()) files.emplace_back(item.file_name, key);
    std::sort(files.begin(), files.end());
    std::vector<u8> directory;
    auto put = [&](u32 value, unsigned size) {
        for (unsigned i = size; i-- > 0;) directory.push_back(static_cast<u8>(value >> (i * 8)));
    };
    put(static_cast<u32>(files.size()), 4);
    for (const auto& [name, key] : files) {
        put(static_cast<u32>(items_[key].bytes.size()), 4);
        put(key, 2);
        put(0, 2);
        std::size_t start = directory.size();
        directory.insert(directory.end(), name.begin(), name.end());
        directory.resize(start + kNameBytes);
    }
    add_bytes(FwCfgKey::kFileDirectory, std::move(directory));
}

void FwCfg::select(u16 key) {
    state_.key = key & (kKeyMask | kArchLocal);
    state_.position = 0;
}

FwCfg::Item* FwCfg::selected() {
    auto found = items_.find(state_.key);
    return found == items_.end() ? nullptr : &found->second;
}

u8 FwCfg::read_byte() {
    Item* item = selected();
    if (!item || state_.position >= item->bytes.size()) return 0;
    return item->bytes[state_.position++];
}

/// As far as memory is there; the rest when the page that is missing comes. The guest sees the request as
/// done when its control word becomes 0, as it must expect (QEMU docs/specs/fw_cfg).
void FwCfg::go_on() {
    const MemoryAnswer answer = step();
    if (answer.must_wait())
        parked_.wait(answer, [this] { go_on(); });
    else
        state_.request.active = false;
}

MemoryAnswer FwCfg::step() {
    Request& r = state_.request;
    if (!r.fetched) {
        const MemoryAnswer answer = fetch();
        if (!answer.ready()) return answer;
    }
    MemoryAnswer answer;
    if (r.control & kDmaRead)
        answer = read_to_guest();
    else if (r.control & kDmaWrite)
        answer = write_from_guest();
    else if (r.control & kDmaSkip)
        state_.position += std::min(std::exchange(r.length, 0), ~u32{0} - state_.position);
    if (answer.must_wait()) return answer;
    r.failed |= !answer.ready();
    const u32 result = big32(r.failed ? kDmaError : 0);
    std::array<u8, 4> raw;
    std::memcpy(raw.data(), &result, raw.size());
    r.control = 0;  // done, but for the answer
    return memory_.try_write(Gpa(r.descriptor), raw);
}

MemoryAnswer FwCfg::fetch() {
    Request& r = state_.request;
    std::array<u8, 16> raw{};
    const MemoryAnswer answer = memory_.try_read(Gpa(r.descriptor), raw);
    if (answer.must_wait()) return answer;
    if (!answer.ready()) {
        guest_oddity("fw-cfg-dma",
                     fmt::format("fw_cfg DMA descriptor at 0x{:x} is not in RAM", r.descriptor));
        return answer;
    }
    u32 control, length;
    u64 where;
    std::memcpy(&control, raw.data(), 4);
    std::memcpy(&length, raw.data() + 4, 4);
    std::memcpy(&where, raw.data() + 8, 8);
    r.control = big32(control), r.length = big32(length), r.where = __builtin_bswap64(where);
    r.fetched = true;
    if (r.control & kDmaSelect) select(static_cast<u16>(r.control >> 16));
    return {};
}

MemoryAnswer FwCfg::read_to_guest() {
    static constexpr std::array<u8, kChunk> kZeros{};
    Request& r = state_.request;
    while (r.length > 0) {
        Item* item = selected();
        std::size_t left =
            item && state_.position < item->bytes.size() ? item->bytes.size() - state_.position : 0;
        // Page by page, so that what waits has little to do again. Past its end an item reads as zeros; a
        // read of gigabytes stops where RAM does.
        std::size_t count =
            std::min<std::size_t>({r.length, left ? left : kChunk, kPageSize - Gpa(r.where).offset()});
        const u8* from = left ? item->bytes.data() + state_.position : kZeros.data();
        const MemoryAnswer answer = memory_.try_write(Gpa(r.where), std::span<const u8>(from, count));
        if (!answer.ready()) return answer;
        if (left) state_.position += static_cast<u32>(count);
        r.where += count;
        r.length -= static_cast<u32>(count);
    }
    return {};
}

MemoryAnswer FwCfg::write_from_guest() {
    Request& r = state_.request;
    Item* item = selected();
    const bool fits = item && item->written && state_.position <= item->bytes.size() &&
                      r.length <= item->bytes.size() - state_.position;
    if (!fits) {
        r.failed = true;
        return {};
    }
    const MemoryAnswer answer =
        memory_.try_read(Gpa(r.where), std::span<u8>(item->bytes).subspan(state_.position, r.length));
    if (!answer.ready()) return answer;
    state_.position += r.length;
    item->written(item->bytes);
    return {};
}

void FwCfg::serialize(Archive& archive) {
    const u32 version = archive.section(name(), 2);
    archive(state_.key, state_.position, state_.dma_high);
    Request& r = state_.request;
    if (version >= 2) archive(r.active, r.fetched, r.failed, r.descriptor, r.where, r.control, r.length);
    if (!archive.loading()) return;
    parked_.cancel();
    // Who waits asks again, under the same lock at its next turn.
    if (r.active) parked_.wait({MemoryOutcome::kWait, Gpa(r.descriptor).ppn()}, [this] { go_on(); });
}

void FwCfg::inspect(Inspector& inspector) const {
    inspector.hex("selected", state_.key);
    inspector.field("position", state_.position);
    for (const auto& [key, item] : items_)
        if (!item.file_name.empty())
            inspector.text(item.file_name, fmt::format("key 0x{:x}, {} bytes", key, item.bytes.size()));
}

}  // namespace shadowbox
