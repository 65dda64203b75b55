"""The classes of Glyphs-100: 20 scripts and symbol blocks of five characters each.

Characters that look alike at 32x32 pixels are left out, also those that a mirror turns into
each other (Latin R and Cyrillic Ya): a class must be told by its shape alone, and the views
of self-supervised learning flip images.
"""

from __future__ import annotations

# block -> {name: code point}
# fmt: off
COARSE: dict[str, dict[str, int]] = {
    "latin": {"r": 0x0052, "g": 0x0047, "k": 0x004B, "w": 0x0057, "a": 0x0041},
    "greek": {"psi": 0x03A8, "omega": 0x03A9, "lamda": 0x03BB, "beta": 0x03B2, "xi": 0x03BE},
    "cyrillic": {"zhe": 0x0416, "de": 0x0414, "ef": 0x0424, "yu": 0x042E, "shcha": 0x0429},
    "armenian": {"ayb": 0x0531, "xeh": 0x053D, "keh": 0x0554, "ca": 0x053E, "cheh": 0x0543},
    "georgian": {"an": 0x10D0, "las": 0x10DA, "khar": 0x10E5, "phar": 0x10E4, "jhan": 0x10EF},
    "hebrew": {"alef": 0x05D0, "shin": 0x05E9, "lamed": 0x05DC, "tet": 0x05D8, "tsadi": 0x05E6},
    "arabic": {"ain": 0x0639, "sheen": 0x0634, "tah": 0x0637, "kaf": 0x0643, "waw": 0x0648},
    "nko": {"i": 0x07CC, "o": 0x07D0, "da": 0x07D8, "rra": 0x07DA, "fa": 0x07DD},
    "tifinagh": {
        "yag": 0x2D33, "yak": 0x2D3D, "ahaggar_yazh": 0x2D4B, "tuareg_yazh": 0x2D4C, "yash": 0x2D5B,
    },
    "lao": {
        "ko": 0x0E81, "kho_tam": 0x0E84, "pho_sung": 0x0E9C, "lo_loot": 0x0EA5, "ho_sung": 0x0EAB,
    },
    "canadian_syllabics": {"na": 0x14C7, "ki": 0x146D, "l": 0x14EC, "sha": 0x1515, "thaa": 0x1567},
    "digits": {"two": 0x0032, "three": 0x0033, "four": 0x0034, "seven": 0x0037, "eight": 0x0038},
    "currency": {
        "dollar": 0x0024, "euro": 0x20AC, "pound": 0x00A3, "yen": 0x00A5, "sheqel": 0x20AA,
    },
    "mathematical_operators": {
        "integral": 0x222B, "infinity": 0x221E, "root": 0x221A, "almost_equal": 0x2248,
        "circled_plus": 0x2295,
    },
    "arrows": {
        "right": 0x2192, "up_down": 0x2195, "turning": 0x21B6, "to_and_fro": 0x21C4,
        "zigzag": 0x21AF,
    },
    "geometric_shapes": {
        "square": 0x25A0, "triangle": 0x25B2, "disc": 0x25CF, "bullseye": 0x25CE,
        "half_disc": 0x25D1,
    },
    "dice": {"one": 0x2680, "two": 0x2681, "three": 0x2682, "four": 0x2683, "six": 0x2685},
    "trigrams": {
        "heaven": 0x2630, "lake": 0x2631, "fire": 0x2632, "water": 0x2635, "earth": 0x2637,
    },
    "chess": {"king": 0x265A, "queen": 0x265B, "rook": 0x265C, "bishop": 0x265D, "knight": 0x265E},
    "zodiac": {
        "aries": 0x2648, "taurus": 0x2649, "cancer": 0x264B, "scorpio": 0x264F, "pisces": 0x2653,
    },
}
# fmt: on

FAMILY: dict[str, tuple[str, ...]] = {
    "european_alphabets": ("latin", "greek", "cyrillic", "armenian", "georgian"),
    "african_and_near_eastern_scripts": ("hebrew", "arabic", "nko", "tifinagh"),
    "abugidas": ("lao", "canadian_syllabics"),
    "numbers_and_amounts": ("digits", "currency", "mathematical_operators"),
    "lines_and_shapes": ("arrows", "geometric_shapes"),
    "dot_and_stroke_patterns": ("dice", "trigrams"),
    "pictograms": ("chess", "zodiac"),
}

KIND: dict[str, tuple[str, ...]] = {
    "letters": ("european_alphabets", "african_and_near_eastern_scripts", "abugidas"),
    "symbols": (
        "numbers_and_amounts",
        "lines_and_shapes",
        "dot_and_stroke_patterns",
        "pictograms",
    ),
}
