# SPDX-License-Identifier: MIT
"""Reads a text screen back out of a picture of it (the monitor's `screendump`), glyph by glyph with the font of the VGA BIOS or of Linux."""
import struct
import zlib

VGA_BIOS = "/usr/share/seabios/vgabios-stdvga.bin"
LETTER_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")  # 8x16
# Where the font of Linux's frame-buffer console (lib/fonts/font_8x16.c) has other shapes than the VGA BIOS.
LINUX = {
    '0': "0000386cc6c6d6d6c6c66c3800000000", 'M': "0000c6eefefed6c6c6c6c6c600000000",
    'T': "00007e7e5a1818181818183c00000000", 'V': "0000c6c6c6c6c6c6c66c381000000000",
    'W': "0000c6c6c6c6d6d6d6feee6c00000000", 'X': "0000c6c66c7c38387c6cc6c600000000",
    'Y': "0000666666663c181818183c00000000", 'Z': "0000fec6860c183060c2c6fe00000000",
    '`': "0030180c000000000000000000000000", 'f': "00001c36323078303030307800000000",
    'm': "0000000000ecfed6d6d6d6c600000000", 'v': "0000000000c6c6c6c6c66c3800000000",
    'w': "0000000000c6c6d6d6d6fe6c00000000", 'x': "0000000000c66c3838386cc600000000",
    '|': "00001818181818181818181800000000", '~': "0076dc00000000000000000000000000",
}


def read_png(data):
    """(width, height, rows), a row being a list of (red, green, blue). Only what ui/display/png_file.cpp writes: 8-bit RGB, not interlaced."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "not a PNG file"
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0], f"checksum of {kind}"
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert (depth, color, interlaced) == (8, 2, 0), "not 8-bit RGB"
        if kind == b"IDAT":
            packed += body
        at += 12 + size
    raw, stride, rows, above = zlib.decompress(packed), width * 3, [], bytes(width * 3)
    for y in range(height):
        line = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        unfilter(raw[y * (stride + 1)], line, above)
        rows.append([tuple(line[x:x + 3]) for x in range(0, stride, 3)])
        above = line
    return width, height, rows


def unfilter(kind, line, above):
    """PNG (ISO/IEC 15948) 9.2, in place, three bytes a pixel."""
    for i in range(len(line)):
        left, up, corner = (line[i - 3], above[i], above[i - 3]) if i >= 3 else (0, above[i], 0)
        if kind == 1:
            line[i] = (line[i] + left) & 255
        elif kind == 2:
            line[i] = (line[i] + up) & 255
        elif kind == 3:
            line[i] = (line[i] + (left + up) // 2) & 255
        elif kind == 4:
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            line[i] = (line[i] + near) & 255


def glyphs():
    """{16 bytes of a glyph: its character}; the first of equal ones, so that what is blank is a space."""
    rom = open(VGA_BIOS, "rb").read()
    base = rom.index(LETTER_A) - ord("A") * 16
    found = {bytes(16): " "}
    for code in [*range(0x20, 0x7F), *range(0x80, 0x100), *range(1, 0x20)]:
        found.setdefault(rom[base + code * 16:base + code * 16 + 16], bytes([code]).decode("cp437"))
    for letter, shape in LINUX.items():
        found.setdefault(bytes.fromhex(shape), letter)
    return found


def screen_text(png):
    """The lines of a screen of 16-line characters, 8 or 9 pixels wide; '?' where the picture is no character of the font."""
    width, height, rows = read_png(png)
    cell = 9 if width % 9 == 0 and width % 8 != 0 or width == 720 else 8
    font, lines = glyphs(), []
    for top in range(0, height - 15, 16):
        line = ""
        for x in range(0, width - cell + 1, cell):
            box = [row[x:x + 8] for row in rows[top:top + 16]]
            colors = sorted({pixel for line_of in box for pixel in line_of})
            line += " " if len(colors) == 1 else "?" if len(colors) > 2 else character(font, box, colors)
        lines.append(line.rstrip())
    return lines


def character(font, box, colors):
    for ink in colors:  # which of the two is the ink, the font knows
        shape = bytes(sum(0x80 >> i for i, pixel in enumerate(line) if pixel == ink) for line in box)
        if shape in font:
            return font[shape]
    return "?"
