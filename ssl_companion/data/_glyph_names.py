"""The classes of Glyphs-100: 20 scripts and symbol blocks of five characters each.

Characters that look alike at 32x32 pixels are left out, also those that a mirror turns into
each other (Latin R and Cyrillic Ya): a class must be told by its shape alone, and the views
of self-supervised learning flip images.
"""

from __future__ import annotations

# block -> ((character, name), ...)
COARSE: dict[str, tuple[tuple[str, str], ...]] = {
    "latin": (
        ("R", "r"),  # latin capital letter r
        ("G", "g"),  # latin capital letter g
        ("K", "k"),  # latin capital letter k
        ("W", "w"),  # latin capital letter w
        ("A", "a"),  # latin capital letter a
    ),
    "greek": (
        ("\u03a8", "psi"),  # greek capital letter psi
        ("\u03a9", "omega"),  # greek capital letter omega
        ("\u03bb", "lamda"),  # greek small letter lamda
        ("\u03b2", "beta"),  # greek small letter beta
        ("\u03be", "xi"),  # greek small letter xi
    ),
    "cyrillic": (
        ("\u0416", "zhe"),  # cyrillic capital letter zhe
        ("\u0414", "de"),  # cyrillic capital letter de
        ("\u0424", "ef"),  # cyrillic capital letter ef
        ("\u042e", "yu"),  # cyrillic capital letter yu
        ("\u0429", "shcha"),  # cyrillic capital letter shcha
    ),
    "armenian": (
        ("\u0531", "ayb"),  # armenian capital letter ayb
        ("\u053d", "xeh"),  # armenian capital letter xeh
        ("\u0554", "keh"),  # armenian capital letter keh
        ("\u053e", "ca"),  # armenian capital letter ca
        ("\u0543", "cheh"),  # armenian capital letter cheh
    ),
    "georgian": (
        ("\u10d0", "an"),  # georgian letter an
        ("\u10da", "las"),  # georgian letter las
        ("\u10e5", "khar"),  # georgian letter khar
        ("\u10e4", "phar"),  # georgian letter phar
        ("\u10ef", "jhan"),  # georgian letter jhan
    ),
    "hebrew": (
        ("\u05d0", "alef"),  # hebrew letter alef
        ("\u05e9", "shin"),  # hebrew letter shin
        ("\u05dc", "lamed"),  # hebrew letter lamed
        ("\u05d8", "tet"),  # hebrew letter tet
        ("\u05e6", "tsadi"),  # hebrew letter tsadi
    ),
    "arabic": (
        ("\u0639", "ain"),  # arabic letter ain
        ("\u0634", "sheen"),  # arabic letter sheen
        ("\u0637", "tah"),  # arabic letter tah
        ("\u0643", "kaf"),  # arabic letter kaf
        ("\u0648", "waw"),  # arabic letter waw
    ),
    "nko": (
        ("\u07cc", "i"),  # nko letter i
        ("\u07d0", "o"),  # nko letter o
        ("\u07d8", "da"),  # nko letter da
        ("\u07da", "rra"),  # nko letter rra
        ("\u07dd", "fa"),  # nko letter fa
    ),
    "tifinagh": (
        ("\u2d33", "yag"),  # tifinagh letter yag
        ("\u2d3d", "yak"),  # tifinagh letter yak
        ("\u2d4b", "ahaggar_yazh"),  # tifinagh letter ahaggar yazh
        ("\u2d4c", "tuareg_yazh"),  # tifinagh letter tuareg yazh
        ("\u2d5b", "yash"),  # tifinagh letter yash
    ),
    "lao": (
        ("\u0e81", "ko"),  # lao letter ko
        ("\u0e84", "kho_tam"),  # lao letter kho tam
        ("\u0e9c", "pho_sung"),  # lao letter pho sung
        ("\u0ea5", "lo_loot"),  # lao letter lo loot
        ("\u0eab", "ho_sung"),  # lao letter ho sung
    ),
    "canadian_syllabics": (
        ("\u14c7", "na"),  # canadian syllabics na
        ("\u146d", "ki"),  # canadian syllabics ki
        ("\u14ec", "l"),  # canadian syllabics medial l
        ("\u1515", "sha"),  # canadian syllabics sha
        ("\u1567", "thaa"),  # canadian syllabics thaa
    ),
    "digits": (
        ("2", "two"),  # digit two
        ("3", "three"),  # digit three
        ("4", "four"),  # digit four
        ("7", "seven"),  # digit seven
        ("8", "eight"),  # digit eight
    ),
    "currency": (
        ("$", "dollar"),  # dollar sign
        ("\u20ac", "euro"),  # euro sign
        ("\u00a3", "pound"),  # pound sign
        ("\u00a5", "yen"),  # yen sign
        ("\u20aa", "sheqel"),  # new sheqel sign
    ),
    "mathematical_operators": (
        ("\u222b", "integral"),  # integral
        ("\u221e", "infinity"),  # infinity
        ("\u221a", "root"),  # square root
        ("\u2248", "almost_equal"),  # almost equal to
        ("\u2295", "circled_plus"),  # circled plus
    ),
    "arrows": (
        ("\u2192", "right"),  # rightwards arrow
        ("\u2195", "up_down"),  # up down arrow
        ("\u21b6", "turning"),  # anticlockwise top semicircle arrow
        ("\u21c4", "to_and_fro"),  # rightwards arrow over leftwards arrow
        ("\u21af", "zigzag"),  # downwards zigzag arrow
    ),
    "geometric_shapes": (
        ("\u25a0", "square"),  # black square
        ("\u25b2", "triangle"),  # black up-pointing triangle
        ("\u25cf", "disc"),  # black circle
        ("\u25ce", "bullseye"),  # bullseye
        ("\u25d1", "half_disc"),  # circle with right half black
    ),
    "dice": (
        ("\u2680", "one"),  # die face-1
        ("\u2681", "two"),  # die face-2
        ("\u2682", "three"),  # die face-3
        ("\u2683", "four"),  # die face-4
        ("\u2685", "six"),  # die face-6
    ),
    "trigrams": (
        ("\u2630", "heaven"),  # trigram for heaven
        ("\u2631", "lake"),  # trigram for lake
        ("\u2632", "fire"),  # trigram for fire
        ("\u2635", "water"),  # trigram for water
        ("\u2637", "earth"),  # trigram for earth
    ),
    "chess": (
        ("\u265a", "king"),  # black chess king
        ("\u265b", "queen"),  # black chess queen
        ("\u265c", "rook"),  # black chess rook
        ("\u265d", "bishop"),  # black chess bishop
        ("\u265e", "knight"),  # black chess knight
    ),
    "zodiac": (
        ("\u2648", "aries"),  # aries
        ("\u2649", "taurus"),  # taurus
        ("\u264b", "cancer"),  # cancer
        ("\u264f", "scorpio"),  # scorpius
        ("\u2653", "pisces"),  # pisces
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
