"""`ssl-companion recordings`: what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_companion.cli.tables import show
from ssl_companion.encoders.pretrained import pretrained_name
from ssl_companion.recordings import list_recordings, recordings_root


@dataclass(frozen=True)
class Recordings:
    """List the recordings: what they are, how long they took, what they keep.

    `network`: its weights are kept, for `open_recording(name).backbone()`; `pretrained`: the name
    by which `ssl_companion.pretrained` gives it.

    Attributes:
        root: folder of recordings; by default SSL_COMPANION_RECORDINGS, else the checkout's,
            else ./recordings.
        json: print JSON.
    """

    root: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Print the table."""
        rows = []
        for recording in list_recordings(self.root):
            run = recording.run
            size = sum(file.stat().st_size for file in recording.path.iterdir())
            rows.append(
                {
                    "name": recording.name,
                    "title": recording.title,
                    "device": run["device"],
                    "minutes": round(run["wall_seconds"] / 60, 1),
                    "commit": (run["git"]["commit"] or "-")[:10],
                    "features": recording.has_features,
                    "network": recording.weights_path is not None,
                    "pretrained": pretrained_name(recording) or "-",
                    "kB": round(size / 1000),
                }
            )
        nothing = f"no recordings in {recordings_root(self.root)}"
        show(rows, self.json, f"{nothing}; `ssl-companion record --list` names the presets")
        return 0
