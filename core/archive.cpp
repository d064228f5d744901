// SPDX-License-Identifier: MIT
// Archive: bytes in, bytes out. Section header: u32 length of the tag, the tag, u32 version.
#include "core/archive.h"

#include <bit>

namespace shadowbox {

static_assert(std::endian::native == std::endian::little, "fields are transferred in host order");

void Archive::raw(void* data, std::size_t size) {
    if (!loading_) {
        const u8* from = static_cast<const u8*>(data);
        bytes_.insert(bytes_.end(), from, from + size);
        return;
    }
    if (failed_ || size > bytes_.size() - position_) {
        failed_ = true;
        if (size) std::memset(data, 0, size);
        return;
    }
    if (size) std::memcpy(data, bytes_.data() + position_, size);
    position_ += size;
}

void Archive::field(std::string& text) {
    u64 count = text.size();
    field(count);
    if (loading_) {
        if (count > bytes_.size() - position_) {
            failed_ = true;
            count = 0;
        }
        text.resize(count);
    }
    raw(text.data(), text.size());
}

u32 Archive::section(std::string_view tag, u32 version) {
    std::string name(tag);
    u32 found = version;
    field(name);
    field(found);
    if (loading_ && (name != tag || found > version)) {
        failed_ = true;
        return 0;
    }
    return failed_ ? 0 : found;
}

}  // namespace shadowbox
