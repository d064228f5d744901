// SPDX-License-Identifier: MIT
#include "vmm/journal/journal.h"

namespace shadowbox {

unsigned Journal::add_source(std::string name, Apply apply) {
    sources_.push_back({std::move(name), std::move(apply)});
    return static_cast<unsigned>(sources_.size() - 1);
}

void Journal::post(unsigned source, std::vector<u8> bytes) {
    {
        std::lock_guard lock(mutex_);
        if (closed_) return;
        entries_.push_back({source, std::move(bytes)});
    }
    if (wake_) wake_();
}

void Journal::apply_all(GuestNs now) {
    std::vector<Entry> entries;
    {
        std::lock_guard lock(mutex_);
        entries.swap(entries_);
    }
    for (const Entry& entry : entries) {
        const Source& source = sources_[entry.source];
        if (observer_) observer_(now, source.name, entry.bytes);
        source.apply(entry.bytes);
    }
}

void Journal::close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    entries_.clear();
}

bool Journal::empty() const {
    std::lock_guard lock(mutex_);
    return entries_.empty();
}

}  // namespace shadowbox
