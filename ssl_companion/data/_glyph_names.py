"""The classes of Glyphs-100: 20 scripts and symbol blocks of five characters each.

Characters of different blocks that look alike (Latin A, Greek Alpha, Cyrillic A) are left
out: a class must be told by its shape alone, at 32x32 pixels.
"""

from __future__ import annotations

# block -> ((character, name), ...)
COARSE: dict[str, tuple[tuple[str, str], ...]] = {
    "latin": (("R", "r"), ("G", "g"), ("S", "s"), ("K", "k"), ("W", "w")),
    "greek": (
        ("\u03a8", "psi"),
        ("\u03a9", "omega"),
        ("\u039e", "xi"),
        ("\u03bb", "lamda"),
        ("\u03b2", "beta"),
    ),
    "cyrillic": (
        ("\u0416", "zhe"),
        ("\u042f", "ya"),
        ("\u0414", "de"),
        ("\u0424", "ef"),
        ("\u042e", "yu"),
    ),
    "armenian": (
        ("\u0531", "ayb"),
        ("\u053d", "xeh"),
        ("\u0554", "keh"),
        ("\u0556", "feh"),
        ("\u0533", "gim"),
    ),
    "georgian": (
        ("\u10d0", "an"),
        ("\u10d3", "don"),
        ("\u10e5", "khar"),
        ("\u10ec", "tsil"),
        ("\u10df", "zhar"),
    ),
    "hebrew": (
        ("\u05d0", "alef"),
        ("\u05e9", "shin"),
        ("\u05dc", "lamed"),
        ("\u05d8", "tet"),
        ("\u05e6", "tsadi"),
    ),
    "arabic": (
        ("\u0639", "ain"),
        ("\u0634", "sheen"),
        ("\u0637", "tah"),
        ("\u0647", "heh"),
        ("\u0648", "waw"),
    ),
    "nko": (
        ("\u07ca", "a"),
        ("\u07d0", "o"),
        ("\u07d5", "cha"),
        ("\u07dc", "la"),
        ("\u07e5", "ya"),
    ),
    "tifinagh": (
        ("\u2d43", "yam"),
        ("\u2d5f", "yat"),
        ("\u2d4f", "yan"),
        ("\u2d63", "yaz"),
        ("\u2d3c", "yef"),
    ),
    "lao": (
        ("\u0e81", "ko"),
        ("\u0e8a", "so"),
        ("\u0e99", "no"),
        ("\u0ea1", "mo"),
        ("\u0eae", "ho"),
    ),
    "canadian_syllabics": (
        ("\u1403", "i"),
        ("\u146b", "ke"),
        ("\u1483", "k"),
        ("\u14a5", "mi"),
        ("\u1546", "r"),
    ),
    "digits": (("2", "two"), ("3", "three"), ("4", "four"), ("7", "seven"), ("8", "eight")),
    "currency": (
        ("$", "dollar"),
        ("\u20ac", "euro"),
        ("\u00a3", "pound"),
        ("\u00a5", "yen"),
        ("\u20b9", "rupee"),
    ),
    "mathematical_operators": (
        ("\u222b", "integral"),
        ("\u221e", "infinity"),
        ("\u221a", "root"),
        ("\u2208", "element"),
        ("\u2248", "almost_equal"),
    ),
    "arrows": (
        ("\u2192", "right"),
        ("\u2194", "both_ways"),
        ("\u21b6", "turning"),
        ("\u21c4", "pair"),
        ("\u21af", "zigzag"),
    ),
    "geometric_shapes": (
        ("\u25a0", "square"),
        ("\u25b2", "triangle"),
        ("\u25cf", "disc"),
        ("\u25ce", "bullseye"),
        ("\u25d1", "half_disc"),
    ),
    "dice": (
        ("\u2680", "one"),
        ("\u2681", "two"),
        ("\u2682", "three"),
        ("\u2683", "four"),
        ("\u2685", "six"),
    ),
    "trigrams": (
        ("\u2630", "heaven"),
        ("\u2631", "lake"),
        ("\u2632", "fire"),
        ("\u2635", "water"),
        ("\u2637", "earth"),
    ),
    "chess": (
        ("\u265a", "king"),
        ("\u265b", "queen"),
        ("\u265c", "rook"),
        ("\u265d", "bishop"),
        ("\u265e", "knight"),
    ),
    "zodiac": (
        ("\u2648", "aries"),
        ("\u2649", "taurus"),
        ("\u264b", "cancer"),
        ("\u264f", "scorpio"),
        ("\u2652", "aquarius"),
    ),
}

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
