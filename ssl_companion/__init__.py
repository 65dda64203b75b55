"""SSL Companion: measure how self-supervised learning clusters its data.

The package behind an executable book about *Reverse Engineering Self-Supervised
Learning* (Ben-Shaul, Shwartz-Ziv, Galanti, Dekel, LeCun; NeurIPS 2023,
arXiv:2305.15614). The way through it:

    data -> measures -> training -> recordings -> claims -> figures -> book
"""

__version__ = "0.1.0"
