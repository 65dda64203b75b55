"""`ssl-companion recordings`: what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_companion.cli.tables import show
from ssl_companion.encoders.networks.known import pretrained_name
from ssl_companion.recordings import (
    RecordingError,
    list_recordings,
    open_recording,
    recordings_root,
)
from ssl_companion.recordings.format import FILES, RUN
from ssl_companion.recordings.opening import folders_of_recordings


@dataclass(frozen=True)
class Recordings:
    """List the recordings: what they are, how long they took, what they keep.

    `network`: its weights are kept, for `open_recording(name).backbone()`; `pretrained`: the name
    by which `ssl_companion.pretrained` gives it.

    Attributes:
        root: folder of recordings; by default SSL_COMPANION_RECORDINGS, else the checkout's,
            else ./recordings.
        json: print JSON.
        verify: instead, compare the files with the SHA-256 that run.json has of them, in the
            folder (it may be a recording itself) and one folder deeper: a line for each recording
            that is altered, damaged or lacks digests. The exit status is 1 where any is altered or
            damaged.
    """

    root: Path | None = None
    json: bool = False
    verify: bool = False

    def run(self) -> int:
        """Print the table, or what is altered."""
        if self.verify:
            return self._verify()
        rows = []
        for recording in list_recordings(self.root):
            run = recording.run
            size = sum(file.stat().st_size for file in recording.path.iterdir() if file.is_file())
            rows.append(
                {
                    "name": recording.name,
                    "title": recording.title,
                    "device": recording.device,
                    "minutes": round((run["wall_seconds"] or 0) / 60, 1),
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

    def _verify(self) -> int:
        root = recordings_root(self.root)
        if not root.is_dir():
            raise RecordingError(
                f"{root}: there is no such folder; expected one of recordings (--root)"
            )
        folders = [root] if (root / RUN).exists() else folders_of_recordings(root)
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            folders += folders_of_recordings(folder)
        rows = [row for folder in folders for row in _faults(folder)]
        bad = {row["recording"] for row in rows if row["state"] != "no digests"}
        if self.json:
            show(rows, True)
        else:
            for row in rows:
                print(f"{row['state']}: {row['said']}")
            print(f"{len(folders)} recordings, {len(bad)} of them altered or damaged")
        return 1 if bad else 0


def _faults(folder: Path) -> list[dict[str, str]]:
    """What is wrong with a recording by its digests, a row each."""
    at = str(folder)
    try:
        recording = open_recording(folder)
    except RecordingError as error:
        return [{"recording": at, "state": "damaged", "said": str(error)}]
    digests = recording.run.get("sha256")
    if digests is None:
        said = f"{folder / RUN}: has no SHA-256 of its files to compare them with"
        return [{"recording": at, "state": "no digests", "said": said}]
    # A note of the reader's, or what a file manager leaves, is never read.
    there = {path.name for path in folder.iterdir()} & FILES
    names = sorted({*digests, *there} - {RUN})
    rows = []
    for name in names:
        if reason := recording.fault(name):
            state = "altered" if (folder / name).is_file() else "damaged"
            rows.append({"recording": at, "state": state, "said": f"{folder / name}: {reason}"})
    return rows
