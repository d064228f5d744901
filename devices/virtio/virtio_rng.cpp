// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_rng.h"

#include <algorithm>

namespace shadowbox {

void VirtioRng::queue_notified(unsigned) {
    for_each_request(0, [this](const VirtqChain& chain) {
        std::vector<u8> bytes(std::min<u64>(chain.writable_bytes(), 4096));
        for (std::size_t i = 0; i < bytes.size(); i += 8) {
            u64 value = random_();
            for (std::size_t k = i; k < std::min(i + 8, bytes.size()); ++k)
                bytes[k] = static_cast<u8>(value >> (8 * (k - i)));
        }
        // Once drawn, the same bytes are written however often a page is away.
        finish_filled(0, chain, [this, chain, bytes = std::move(bytes)] {
            return static_cast<u32>(queue(0).write(chain, 0, bytes));
        });
    });
}

}  // namespace shadowbox
