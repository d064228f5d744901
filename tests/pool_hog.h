// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "mmu/machine_pool.h"

namespace shadowbox::test {

/// Fills the pool while it lives.
struct Hog {
    explicit Hog(MachinePool& pool) : pool(pool) {
        while (auto mpn = pool.allocate(VmId(9), Ppn(pages.size()))) pages.push_back(*mpn);
    }
    ~Hog() {
        for (std::size_t i = 0; i < pages.size(); ++i) pool.release(pages[i], VmId(9), Ppn(i));
    }
    MachinePool& pool;
    std::vector<Mpn> pages;
};

}  // namespace shadowbox::test
