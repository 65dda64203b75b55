"""`ssl-companion report A B`: encoders side by side on one page."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ssl_companion.cli.tables import show
from ssl_companion.io.atomic import atomic_directory, atomic_file
from ssl_companion.recordings.format import written
from ssl_companion.recordings.places import require_writable

if TYPE_CHECKING:
    from ssl_companion.chapters.commands.report_images import ReportData
    from ssl_companion.encoders.compare import Baseline, Comparison
    from ssl_companion.encoders.examine import EncoderResult

#: What encoders are that nobody trained, by their kind, and by the beginnings of their names those
#: that look at the training images.
_BASELINES: dict[str, Baseline] = {
    "pixels": "pixels", "whitened pixels": "pixels", "untrained": "untrained",
}  # fmt: skip
_LOOKING = ("whitened-pixels", "random")


@dataclass(frozen=True)
class Report:
    """Measure encoders on the same images and show them side by side on one HTML page.

    The page needs no network, no Python and no other file: every measure with its interval and its
    control, the sentences that a reader may quote and those that the numbers do not support, maps
    of the images, and what was measured where. A JSON file beside it has all numbers.

    What has been measured is kept in a folder beside the page until that is written: a report that
    was stopped goes on when the same command is given again.

    Attributes:
        encoders: each an encoder: vicreg-res5-250, a recording with weights, timm:NAME, hf:NAME,
            torchvision:NAME, PATH/module.py:function; or a file of features (.npy, .npz, .pt,
            .safetensors, .parquet, .csv); or a recording with features, which may still grow, or
            one epoch of it, RECORDING@EPOCH. `NAME=` in front gives it another name on the page.
        out: the page.
        data: the images: a folder with a sub-folder for each class, a file of images (.npy, uint8
            [N, 3, H, W]) with --labels, cifar100, glyphs100, or auto (which is what encoders have
            without it) for CIFAR-100 where it is found and Glyphs-100 elsewhere. Beside encoders,
            files of features need it: their rows are of these images, in this order, which is
            that of the paths in a folder. Of a data set it is that of
            `ssl_companion.data.load(NAME, "train")`, and not that of torchvision.
        labels: a file of labels, one for each image or each row of features; by default those of
            the folder or the data set.
        test_data: held-out images; by default those of the data set, or half of the images.
        test_labels: theirs.
        test_features: for files of features, those of the held-out images, one for each, in the
            order of the files; none where half of the images are held out.
        hierarchy: a JSON file of groups above the classes.
        baseline: encoders that nobody trained, to compare with: pixels, whitened-pixels, random
            (an untrained network of the book's architecture) or random:ARCHITECTURE.
        per_class: take so many training and test images of each class of a data set only (0: all);
            files of features nevertheless have all of them.
        which: measures, by name, or all.
        layers: of each encoder; by default what it returns.
        pool: what becomes of tokens.
        size: of the images of a folder, in pixels; by default what each encoder wants.
        batch: images at a time.
        device: cpu, cuda, mps.
        maps: draw maps of the images, which take most of the time where there are few.
        title: of the page.
        seed: of the split, the controls, the bootstrap and the maps.
        overwrite: replace an existing page.
    """

    encoders: Annotated[tuple[str, ...], tyro.conf.Positional]
    out: Path = Path("report.html")
    data: str | None = None
    labels: Path | None = None
    test_data: str | None = None
    test_labels: Path | None = None
    test_features: tuple[Path, ...] = ()
    hierarchy: Path | None = None
    baseline: tuple[str, ...] = ()
    per_class: int = 0
    which: tuple[str, ...] = ("all",)
    layers: tuple[str, ...] = ()
    pool: str | None = None
    size: int = 0
    batch: int = 256
    device: str | None = None
    maps: bool = True
    title: str = ""
    seed: int = 0
    overwrite: bool = False

    def run(self) -> int:
        """Write the page and the file of JSON, and say where they are."""
        from ssl_companion.chapters.commands.report_data import report_data
        from ssl_companion.chapters.widgets.report import report_json, report_page
        from ssl_companion.encoders.compare import Comparison
        from ssl_companion.encoders.evaluate import known_measures

        known_measures(self.which)
        if self.out.suffix in (".json", ".parts"):
            raise ValueError(
                f"out: {self.out}; expected a page, such as {self.out.with_suffix('.html')}; "
                "beside it are the numbers (.json) and what is not finished (.parts)"
            )
        beside, folder = self.out.with_suffix(".json"), self.out.with_suffix(".parts")
        require_writable(self.out.parent)
        for path in (self.out, beside):
            if path.is_dir():
                raise ValueError(f"{path}: is a folder; expected a file; give another name (--out)")
            if path.exists() and not self.overwrite:
                raise ValueError(
                    f"{path}: exists already; give another file (--out), or --overwrite to replace "
                    "this one"
                )
        data, wanted = report_data(self, self._titles())
        results: dict[str, EncoderResult] = {}
        places: list[Path] = []
        kept = f"What was measured is in {folder}: the same command goes on from there."
        try:
            for title, spec in wanted.items():
                print(f"{title}:", file=sys.stderr)
                place = folder / self._digest(spec, data)
                found = self._result(spec, data, place, kept)
                places.append(place)
                for one in found:
                    name = f"{one.about['layer']} of {title}" if len(found) > 1 else title
                    results[name] = one
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped. {kept}") from None
        kinds = {name: _BASELINES.get(one.about.get("kind", "")) for name, one in results.items()}
        baselines = {name: kind for name, kind in kinds.items() if kind}
        comparison = Comparison(results, data.title, baselines, self.seed)
        facts = self._facts()
        names, pictures = data.shown(next(iter(results.values())))
        page = report_page(
            comparison, title=self.title, facts=facts, names=names, pictures=pictures,
            maps=self.maps,
        )  # fmt: skip
        numbers = json.dumps(report_json(comparison, facts), indent=1)
        for path, text in ((beside, numbers), (self.out, page)):
            with written(path, kept), atomic_file(path) as temporary:
                temporary.write_text(text, encoding="utf8")
        for place in places:  # and nothing else that somebody may have put there
            shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        show(_lines(comparison), as_json=False)
        print(self.out, beside, sep="\n")
        return 0

    def _titles(self) -> dict[str, str]:
        """What was asked for, by its title on the page."""
        found: dict[str, str] = {}
        for given in (*self.encoders, *self.baseline):
            title, mark, spec = given.partition("=")
            if not mark or Path(given).exists():
                title, spec = _title(given), given
            if found.get(title, spec) != spec:
                raise ValueError(
                    f"{title}: the name of both {found[title]} and {spec}; expected a name for "
                    f"each; `OTHER={spec}` gives it another"
                )
            found[title] = spec
        return found

    def _digest(self, spec: str, data: ReportData) -> str:
        """A name for what is measured of an encoder, which changes with all that it depends on."""
        import ssl_companion
        from ssl_companion.chapters.commands.report_images import identity

        settings = [self.which, self.layers, self.pool, self.size, self.seed]
        asked = [spec, identity(spec), data.identity, settings, ssl_companion.__version__]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def _result(self, spec: str, data: ReportData, place: Path, kept: str) -> list[EncoderResult]:
        """What is known of an encoder, layer by layer: from a folder, or measured now."""
        from ssl_companion.encoders import examine

        try:
            # What a file of Python loads besides is not known here.
            if ".py:" not in spec and (parts := sorted(place.glob("*.safetensors"))):
                return [examine.EncoderResult.load(part) for part in parts]
        except ValueError as error:
            print(f"ssl-companion: {error}", file=sys.stderr)
        how, about = data.arguments(spec), {"encoder": spec}
        if "encoder" not in how:
            from ssl_companion.chapters.commands.report_images import USUAL
            from ssl_companion.encoders.networks.by_name import load_encoder

            images = data.training() if spec.partition(":")[0] in _LOOKING else None
            named = load_encoder(spec, device=self.device, seed=self.seed, images=images)
            about |= dict(named.about)
            how |= {"encoder": named.encoder, "preprocess": named.preprocess}
            how |= {"size": self.size or max(named.size or (USUAL,))}
            how |= {"layers": self.layers or None, "pool": self.pool, "batch": self.batch}
        found = examine.examine(
            **how, which=self.which, seed=self.seed, about=about, device=self.device, progress=True
        )
        with written(place.parent, kept), atomic_directory(place) as temporary:
            for at, one in enumerate(found.values()):
                one.save(temporary / f"{at:03}.safetensors")
        return list(found.values())

    def _facts(self) -> dict[str, str]:
        from ssl_companion.io.provenance import git_commit, versions

        git = git_commit()
        commit = f"{git['commit'] or 'unknown'}{'' if git['clean'] else ', with changes'}"
        return {
            "command": shlex.join(["ssl-companion", *sys.argv[1:]]),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seed": str(self.seed),
            "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
            "commit of ssl-companion": commit,
        }


def _lines(comparison: Comparison) -> list[dict[str, Any]]:
    """NCC accuracy of every encoder at the finest level, for the terminal."""
    level = comparison.hierarchy.names[0]
    rows = {name: comparison.row(name, level) for name in comparison.results}
    return [
        {"encoder": name} | {f"ncc {key}": row[key] for key in ("value", "low", "high")}
        for name, row in rows.items()
        if row is not None
    ]


def _title(spec: str) -> str:
    """A file by its name without the ending, an encoder by what it was asked for by, an untrained
    network with its architecture."""
    kind, _, backbone = spec.partition(":")
    if kind == "random":
        from ssl_companion.encoders.networks.baselines import BACKBONE

        return f"untrained {backbone or BACKBONE}"
    path = Path(spec.partition(":")[0])
    return path.stem if path.suffix and path.is_file() and path.suffix != ".py" else spec
