// SPDX-License-Identifier: MIT
namespace shadowbox { int ui_scratch; }
