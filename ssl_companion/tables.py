"""Tables that a page shows, and where a recording came from as one of them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ssl_companion.recordings import Recording


@dataclass(frozen=True, eq=False)
class Table:
    """A table as HTML that follows the page's theme, and as text elsewhere.

    Attributes:
        frame: what it shows; nothing is cut short.
        index: whether the rows' names are shown.
    """

    frame: pd.DataFrame
    index: bool = True

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            page: str = self.frame.to_html(
                classes="dataframe companion-table", border=0, justify="left", index=self.index
            )
        return page

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.width", 160):
            return str(self.frame.to_string(index=self.index))


def provenance(recording: Recording) -> Table:
    """Where a recording came from, every word of it read from its run.json."""
    run, data = recording.run, recording.run["data"]
    commit = run["git"]["commit"] or "unknown"
    state = "" if run["git"]["clean"] else ", with uncommitted changes"
    drawn = " (drawn by the package, not photographs)" if recording.stand_in else ""
    facts = {
        "recording": recording.name,
        "run": recording.title,
        "images": f"{data['title']}{drawn}: {data['train_images']:,} to train on, "
        f"{data['test_images']:,} held out",
        "epochs measured": ", ".join(str(epoch) for epoch in recording.epochs),
        "seed": run["seed"],
        "device": run["device"],
        "training took": f"{run['train_seconds'] / 60:.1f} minutes",
        "finished": run["end"],
        "commit": f"{commit[:12]}{state}",
        "versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }
    if recording.has_features:
        kept = run["measured"]["config"]
        facts["features kept"] = (
            f"{kept['keep_test']} held-out and {kept['keep_train']} training images of each class"
        )
    frame = pd.DataFrame({"": list(facts.values())}, index=pd.Index(list(facts)))
    return Table(frame)
