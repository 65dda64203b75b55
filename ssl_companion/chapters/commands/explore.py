"""`ssl-companion explore RECORDING`: its explorer as a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ssl_companion.io.atomic import atomic_file
from ssl_companion.recordings import open_recording
from ssl_companion.recordings.format import written


@dataclass(frozen=True)
class Explore:
    """Write the explorer of a recording as one HTML file, to open in any browser or to send.

    The file needs no network, no Python and no other file: maps of every epoch and layer whose
    features the recording keeps, class means and images nearest to each other, NCC accuracies,
    and the photographs of a recording of the book.

    Attributes:
        recording: name or path.
        out: the file; by default NAME.html in this folder.
        root: folder of recordings; by default SSL_COMPANION_RECORDINGS, else the checkout's,
            else ./recordings.
        level: that colours the points at first; by default the finest.
        epoch: shown at first; by default the last one kept at the layer.
        layer: shown at first; by default the last one kept.
        chosen: class whose neighbours are shown at first; by default "maple tree", or the first
            class where there is none.
        neighbours: how many are listed for a class, and for an image.
        seed: of the maps.
        overwrite: replace a file that stands there.
    """

    recording: Annotated[str, tyro.conf.Positional]
    out: Path | None = None
    root: Path | None = None
    level: str | None = None
    epoch: int | None = None
    layer: str | None = None
    chosen: str | None = None
    neighbours: int = 5
    seed: int = 0
    overwrite: bool = False

    def run(self) -> int:
        """Write the file and say where it is."""
        from ssl_companion.chapters.analysis.feature_maps import overview
        from ssl_companion.chapters.widgets.explorer import explorer_page

        recording = open_recording(self.recording, self.root)
        out = self.out or Path(f"{recording.name}.html")
        if out.exists() and not self.overwrite:
            raise ValueError(
                f"{out}: stands there already; give another file (--out), or --overwrite to lose "
                "this one"
            )
        # Begun before the maps are drawn: that a place cannot be written shows at once.
        with written(out), atomic_file(out) as temporary:
            whole = overview(recording, neighbours=self.neighbours, seed=self.seed)
            page = explorer_page(
                whole, level=self.level, epoch=self.epoch, layer=self.layer, chosen=self.chosen
            )
            temporary.write_text(page, encoding="utf8")
        print(out)
        return 0
