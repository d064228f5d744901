// SPDX-License-Identifier: MIT
// The inspect tree: every component lists its state by name; the monitor, the GUI and the JSON protocol
// read this tree instead of private fields.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace shadowbox {

struct InspectNode {
    std::string name;
    std::string value;                 ///< empty for a group
    std::deque<InspectNode> children;  ///< in the order they were added; references stay valid
};

/// Adds fields below one node. `inspector.field("divisor", d); auto lane = inspector.group("lane 0");`
class Inspector {
 public:
    explicit Inspector(InspectNode& node) : node_(&node) {}
    template <class T>
    void field(std::string_view name, const T& value) {
        text(std::string(name), fmt::format("{}", value));
    }
    /// A register, as 0x%x padded to its size.
    template <class T>
    void hex(std::string_view name, T value) {
        text(std::string(name), fmt::format("0x{:0{}x}", value, sizeof(T) * 2));
    }
    void text(std::string name, std::string value) {
        node_->children.push_back({std::move(name), std::move(value), {}});
    }
    Inspector group(std::string name) {
        node_->children.push_back({std::move(name), {}, {}});
        return Inspector(node_->children.back());
    }

 private:
    InspectNode* node_;
};

/// The tree as indented lines, two blanks a level.
std::string inspect_text(const InspectNode& node, int depth = 0);

}  // namespace shadowbox
