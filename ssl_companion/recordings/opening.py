"""Find and open recordings: `open_recording(name)`, `list_recordings()`."""

from __future__ import annotations

import difflib
import os
import warnings
from pathlib import Path

from ssl_companion.io.extras import checkout
from ssl_companion.recordings.format import RUN, RecordingError, RecordingWarning
from ssl_companion.recordings.reader import Recording

ROOT_VARIABLE = "SSL_COMPANION_RECORDINGS"


def recordings_root(root: str | Path | None = None) -> Path:
    """Where recordings are, which need not be there yet.

    `root`, else the variable SSL_COMPANION_RECORDINGS, else `book/recordings` of the checkout that
    the package is imported from, else `recordings` in the working directory.
    """
    if root is not None:
        return Path(root)
    if named := os.environ.get(ROOT_VARIABLE):
        return Path(named)
    return book / "book/recordings" if (book := checkout()) else Path.cwd() / "recordings"


def where_the_books_are(root: str | Path | None = None) -> str:
    """For a message about a recording that is absent: that those of the book are elsewhere.

    Empty where somebody named the folder, and in a checkout, which has them.
    """
    if root is not None or os.environ.get(ROOT_VARIABLE) or checkout():
        return ""
    return (
        " The book's recordings come with a clone of its repository and not with the installed "
        f"package: name the clone's book/recordings (--root, or the variable {ROOT_VARIABLE})."
    )


def list_recordings(root: str | Path | None = None) -> list[Recording]:
    """All recordings under `root`, by name. Folders without a run.json do not count.

    One that cannot be opened is named in a `RecordingWarning` and left out.

    Raises:
        RecordingError: there is no such folder.
    """
    folder = recordings_root(root)
    if not folder.is_dir():
        raise RecordingError(
            f"{folder}: there is no such folder; expected one of recordings (--root, or the "
            f"variable {ROOT_VARIABLE}).{where_the_books_are(root)}"
        )
    found = []
    for path in folders_of_recordings(folder):
        try:
            found.append(open_recording(path))
        except RecordingError as error:
            warnings.warn(f"left out: {error}", RecordingWarning, stacklevel=2)
    return found


def folders_of_recordings(root: Path) -> list[Path]:
    """The folders under `root` that have a run.json, by name; hidden ones do not count, nor those
    in which a run is trained, whose run.json is of another kind."""
    found = sorted(path.parent for path in root.glob(f"*/{RUN}"))
    return [
        path
        for path in found
        if not path.name.startswith(".") and not (path / "snapshots").is_dir()
    ]


def open_recording(name: str | Path, root: str | Path | None = None) -> Recording:
    """A recording by its name under `recordings_root(root)`, or by its path.

    Where a `root` is given, a bare name means what is there, whatever the working directory has.

    Raises:
        RecordingError: absent, truncated, foreign or of another format.
    """
    path, beneath = Path(name), recordings_root(root) / str(name)
    if not (path / RUN).exists() or (root is not None and len(path.parts) == 1):
        path = beneath
    if not (path / RUN).exists():
        raise RecordingError(_absent(str(name), root))
    return _opened(path)


def _absent(name: str, root: str | Path | None) -> str:
    """Where a recording was looked for, and what there is that is called so or nearly so."""
    folder = recordings_root(root)
    known = [path.name for path in folders_of_recordings(folder)]
    own = Path(name)
    places = f"in {folder}"
    if len(own.parts) > 1:
        places = f"at {own.absolute()} or {places}"
    near = difflib.get_close_matches(own.name, known, n=5, cutoff=0.5) or known[:5]
    rest = f" and {len(known) - len(near)} more" if len(known) > len(near) else ""
    return (
        f"no recording {name!r} {places}; expected one such as {', '.join(near)}{rest}, which "
        "`ssl-companion recordings` lists"
        if known
        else f"no recording {name!r} {places}, nor any other; `ssl-companion record` makes one"
    ) + f".{where_the_books_are(root)}"


_TRIES = 20


def _opened(path: Path) -> Recording:
    """A recording that does not change while it is in use.

    One that grows is replaced as a whole after every epoch, so that its files are opened together,
    and again if it was replaced meanwhile.
    """
    for _ in range(_TRIES):
        recording, fault = Recording(path), None
        if recording.complete:
            return recording
        try:
            recording.open_files()
        except RecordingError as error:
            fault = error
        if Recording(path).run == recording.run:
            if fault:
                raise fault
            return recording
    raise RecordingError(
        f"{path}: replaced {_TRIES} times while it was opened; expected it to rest for a moment "
        "between two epochs; copy the folder, and open the copy"
    )
