// SPDX-License-Identifier: MIT
// Save states: one symmetric serialize(Archive&) per component lists its fields; saving and loading are
// the same function, so they cannot drift apart. Little-endian, each component in a tagged, versioned
// section; a load that runs out of bytes or meets a wrong tag sets failed() and yields zeros, never UB.
#pragma once

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

class Archive {
 public:
    /// An archive that saves.
    Archive() = default;
    /// An archive that loads from `bytes`.
    explicit Archive(std::vector<u8> bytes) : bytes_(std::move(bytes)), loading_(true) {}

    bool loading() const { return loading_; }
    bool failed() const { return failed_; }
    void fail() { failed_ = true; }
    const std::vector<u8>& bytes() const { return bytes_; }

    /// Opens a component's section. Saving writes `version`; loading returns the version that was saved
    /// and fails on another tag or a newer version.
    u32 section(std::string_view tag, u32 version);

    /// archive(a, b, c): transfers each field in order.
    template <class... Fields>
    void operator()(Fields&... fields) {
        (field(fields), ...);
    }

    void raw(void* data, std::size_t size);

 private:
    template <class T>
    void field(T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            u8 byte = value;
            raw(&byte, 1);
            if (loading_) value = byte != 0;
        } else if constexpr (requires { value.serialize(*this); }) {
            value.serialize(*this);
        } else {
            static_assert(std::is_trivially_copyable_v<T>, "give the type a serialize(Archive&)");
            raw(&value, sizeof value);
        }
    }
    template <class T, std::size_t N>
    void field(std::array<T, N>& values) {
        for (T& value : values) field(value);
    }
    template <class T, std::size_t N>
    void field(T (&values)[N]) {
        for (T& value : values) field(value);
    }
    template <class T>
    void field(std::vector<T>& values) {
        u64 count = values.size();
        field(count);
        if (loading_) {
            if (count > bytes_.size() - position_) {
                failed_ = true;
                count = 0;
            }
            values.resize(count);
        }
        for (T& value : values) field(value);
    }
    void field(std::string& text);

    std::vector<u8> bytes_;
    std::size_t position_ = 0;
    bool loading_ = false;
    bool failed_ = false;
};

}  // namespace shadowbox
