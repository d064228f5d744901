// SPDX-License-Identifier: MIT
// The inspect tree as text, for the monitor.
#include "core/inspect.h"

namespace shadowbox {

std::string inspect_text(const InspectNode& node, int depth) {
    std::string text(static_cast<std::size_t>(depth) * 2, ' ');
    text += node.name;
    if (!node.value.empty()) text += (node.name.empty() ? "" : ": ") + node.value;
    text += '\n';
    for (const InspectNode& child : node.children) text += inspect_text(child, depth + 1);
    return text;
}

}  // namespace shadowbox
