"""The commands about the book's recordings and claims, added to those of the library."""

from __future__ import annotations

from ssl_companion.cli import Entry

COMMANDS: dict[str, Entry] = {
    "import-run": Entry(
        "ssl_companion.chapters.commands.import_run:ImportRun",
        "Measure a run that other code trained, and write it as a recording.",
    ),
    "explore": Entry(
        "ssl_companion.chapters.commands.explore:Explore",
        "Write the explorer of a recording as one HTML file, to open in any browser or to send.",
        extra="plots",
    ),
    "report": Entry(
        "ssl_companion.chapters.commands.report:Report",
        "Measure encoders on the same images and show them side by side on one HTML page.",
        extra="plots",
    ),
    "baselines": Entry(
        "ssl_companion.chapters.commands.baselines:Baselines",
        "Measure the pixels themselves, plain and whitened, and keep that beside the recordings.",
    ),
    "claims": Entry(
        "ssl_companion.chapters.commands.claims:Claims",
        "Judge the paper's nine claims: verdict, effect with its interval, threshold, reason.",
    ),
}
