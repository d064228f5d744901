// SPDX-License-Identifier: MIT
// Host and configuration errors as values: what failed, why, what to do. Guest faults are not errors
// (cpu/state/fault.h), broken invariants of ours abort (core/check.h).
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace shadowbox {

enum class ErrorCode {
    kInvalidArgument,  ///< a wrong option, key or value from the user
    kNotFound,         ///< a file, socket or firmware that is not there
    kDenied,           ///< not permitted, locked or in use
    kIo,               ///< the host failed to read, write or map
    kOutOfMemory,      ///< the pool or the host has no room
    kUnsupported,      ///< a known thing that this build does not do
    kCorrupt,          ///< data that does not mean what it should
};

/// One host-side failure. `message` is a complete clause without a final full stop.
struct Error {
    ErrorCode code = ErrorCode::kIo;
    std::string message;
    std::shared_ptr<const Error> cause = nullptr;

    /// "message: cause: cause of the cause", on one line.
    std::string text() const { return cause ? message + ": " + cause->text() : message; }
};

template <class T>
using Expected = tl::expected<T, Error>;

/// `return make_error(ErrorCode::kNotFound, "no such image '{}'", path);`
template <class... Args>
tl::unexpected<Error> make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...), nullptr});
}

/// Wraps `cause` in the wider context of the caller.
template <class... Args>
tl::unexpected<Error> wrap_error(Error cause, fmt::format_string<Args...> format, Args&&... args) {
    ErrorCode code = cause.code;
    return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...),
                                       std::make_shared<const Error>(std::move(cause))});
}

/// The text of the host's errno value.
std::string errno_text(int errno_value);

}  // namespace shadowbox
