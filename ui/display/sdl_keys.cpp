// SPDX-License-Identifier: MIT
#include "ui/display/sdl_keys.h"

#include <SDL_scancode.h>

namespace shadowbox {

namespace {

struct Row {
    SDL_Scancode scancode;
    Key key;
};
// clang-format off
constexpr Row kRows[] = {
    {SDL_SCANCODE_RETURN, Key::kReturn}, {SDL_SCANCODE_ESCAPE, Key::kEscape}, {SDL_SCANCODE_BACKSPACE, Key::kBackspace}, {SDL_SCANCODE_TAB, Key::kTab},
    {SDL_SCANCODE_SPACE, Key::kSpace}, {SDL_SCANCODE_MINUS, Key::kMinus}, {SDL_SCANCODE_EQUALS, Key::kEqual},
    {SDL_SCANCODE_LEFTBRACKET, Key::kBracketLeft}, {SDL_SCANCODE_RIGHTBRACKET, Key::kBracketRight}, {SDL_SCANCODE_BACKSLASH, Key::kBackslash},
    {SDL_SCANCODE_NONUSHASH, Key::kBackslash}, {SDL_SCANCODE_NONUSBACKSLASH, Key::kLess}, {SDL_SCANCODE_SEMICOLON, Key::kSemicolon},
    {SDL_SCANCODE_APOSTROPHE, Key::kApostrophe}, {SDL_SCANCODE_GRAVE, Key::kGraveAccent}, {SDL_SCANCODE_COMMA, Key::kComma},
    {SDL_SCANCODE_PERIOD, Key::kDot}, {SDL_SCANCODE_SLASH, Key::kSlash}, {SDL_SCANCODE_CAPSLOCK, Key::kCapsLock},
    {SDL_SCANCODE_PRINTSCREEN, Key::kPrint}, {SDL_SCANCODE_SCROLLLOCK, Key::kScrollLock}, {SDL_SCANCODE_PAUSE, Key::kPause},
    {SDL_SCANCODE_INSERT, Key::kInsert}, {SDL_SCANCODE_HOME, Key::kHome}, {SDL_SCANCODE_PAGEUP, Key::kPageUp}, {SDL_SCANCODE_DELETE, Key::kDelete},
    {SDL_SCANCODE_END, Key::kEnd}, {SDL_SCANCODE_PAGEDOWN, Key::kPageDown}, {SDL_SCANCODE_RIGHT, Key::kRight}, {SDL_SCANCODE_LEFT, Key::kLeft},
    {SDL_SCANCODE_DOWN, Key::kDown}, {SDL_SCANCODE_UP, Key::kUp}, {SDL_SCANCODE_NUMLOCKCLEAR, Key::kNumLock},
    {SDL_SCANCODE_KP_DIVIDE, Key::kKpDivide}, {SDL_SCANCODE_KP_MULTIPLY, Key::kKpMultiply}, {SDL_SCANCODE_KP_MINUS, Key::kKpSubtract},
    {SDL_SCANCODE_KP_PLUS, Key::kKpAdd}, {SDL_SCANCODE_KP_ENTER, Key::kKpEnter}, {SDL_SCANCODE_KP_0, Key::kKp0}, {SDL_SCANCODE_KP_1, Key::kKp1},
    {SDL_SCANCODE_KP_2, Key::kKp2}, {SDL_SCANCODE_KP_3, Key::kKp3}, {SDL_SCANCODE_KP_4, Key::kKp4}, {SDL_SCANCODE_KP_5, Key::kKp5},
    {SDL_SCANCODE_KP_6, Key::kKp6}, {SDL_SCANCODE_KP_7, Key::kKp7}, {SDL_SCANCODE_KP_8, Key::kKp8}, {SDL_SCANCODE_KP_9, Key::kKp9},
    {SDL_SCANCODE_KP_PERIOD, Key::kKpDecimal}, {SDL_SCANCODE_APPLICATION, Key::kMenu}, {SDL_SCANCODE_MUTE, Key::kMute},
    {SDL_SCANCODE_VOLUMEUP, Key::kVolumeUp}, {SDL_SCANCODE_VOLUMEDOWN, Key::kVolumeDown}, {SDL_SCANCODE_SYSREQ, Key::kSysRq},
    {SDL_SCANCODE_LCTRL, Key::kControl}, {SDL_SCANCODE_LSHIFT, Key::kShift}, {SDL_SCANCODE_LALT, Key::kAlt}, {SDL_SCANCODE_LGUI, Key::kMetaLeft},
    {SDL_SCANCODE_RCTRL, Key::kControlRight}, {SDL_SCANCODE_RSHIFT, Key::kShiftRight}, {SDL_SCANCODE_RALT, Key::kAltRight},
    {SDL_SCANCODE_RGUI, Key::kMetaRight}, {SDL_SCANCODE_INTERNATIONAL1, Key::kRo}, {SDL_SCANCODE_INTERNATIONAL2, Key::kHiragana},
    {SDL_SCANCODE_INTERNATIONAL3, Key::kYen}, {SDL_SCANCODE_INTERNATIONAL4, Key::kHenkan}, {SDL_SCANCODE_INTERNATIONAL5, Key::kMuhenkan},
    {SDL_SCANCODE_F11, Key::kF11}, {SDL_SCANCODE_F12, Key::kF12}, {SDL_SCANCODE_0, Key::k0},
};
// clang-format on

/// SDL's letters are in the alphabet's order, the table's in the keyboard's.
constexpr Key kLetters[] = {Key::kA, Key::kB, Key::kC, Key::kD, Key::kE, Key::kF, Key::kG, Key::kH, Key::kI,
                            Key::kJ, Key::kK, Key::kL, Key::kM, Key::kN, Key::kO, Key::kP, Key::kQ, Key::kR,
                            Key::kS, Key::kT, Key::kU, Key::kV, Key::kW, Key::kX, Key::kY, Key::kZ};

Key after(Key first, int offset) { return static_cast<Key>(static_cast<int>(first) + offset); }

}  // namespace

std::optional<Key> key_from_sdl(int scancode) {
    if (scancode >= SDL_SCANCODE_A && scancode <= SDL_SCANCODE_Z) return kLetters[scancode - SDL_SCANCODE_A];
    if (scancode >= SDL_SCANCODE_1 && scancode <= SDL_SCANCODE_9)
        return after(Key::k1, scancode - SDL_SCANCODE_1);
    if (scancode >= SDL_SCANCODE_F1 && scancode <= SDL_SCANCODE_F10)
        return after(Key::kF1, scancode - SDL_SCANCODE_F1);
    for (const Row& row : kRows)
        if (row.scancode == scancode) return row.key;
    return std::nullopt;
}

}  // namespace shadowbox
