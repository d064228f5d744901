// SPDX-License-Identifier: MIT
// What a broken invariant prints before the abort.
#include "core/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

namespace shadowbox {

namespace {

struct DumpList {
    std::mutex mutex;
    std::map<int, std::function<std::string()>> dumps;
    int next_id = 1;
};

DumpList& dump_list() {
    static DumpList list;
    return list;
}

std::atomic<bool> failing{false};

}  // namespace

void check_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "shadowbox: broken invariant: %s at %s:%d\n", condition, file, line);
    // A dump may fail a check itself, and two threads may fail at once: only the first one dumps. try_lock,
    // because the failing thread may be inside add_check_dump.
    if (!failing.exchange(true)) {
        DumpList& list = dump_list();
        if (list.mutex.try_lock()) {
            for (auto& [id, dump] : list.dumps) std::fprintf(stderr, "%s\n", dump().c_str());
            list.mutex.unlock();
        }
    }
    std::fflush(stderr);
    std::abort();
}

int add_check_dump(std::function<std::string()> dump) {
    DumpList& list = dump_list();
    std::lock_guard lock(list.mutex);
    list.dumps.emplace(list.next_id, std::move(dump));
    return list.next_id++;
}

void remove_check_dump(int id) {
    DumpList& list = dump_list();
    std::lock_guard lock(list.mutex);
    list.dumps.erase(id);
}

}  // namespace shadowbox
