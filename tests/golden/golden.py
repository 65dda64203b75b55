"""What the project computed when this folder was written: a net under moves and rewrites.

    python tests/golden/golden.py           # what differs now
    python tests/golden/golden.py --write   # what is computed now becomes the golden output

The ledger and the measures of two recordings are kept as numbers. Of each executed page (run
`make book` first) a digest of every table, sentence and alternative text is kept, but for timings
and what a page trains within minutes of the clock.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ROOT / "_build/jupyter_execute/book"
MEASURED = ("clustering-vicreg-s0", "reference-vicreg-s0")
COMMANDS = {
    "claims": ("claims", "--json"),
    **{name.replace("/", "-"): ("measure", name, "--json") for name in MEASURED},
}
TIMED = {"measuring-a-cluster": {10}, "train-your-own": None}  # these outputs, or all of a page's
_COMPACT = (",", ":")  # the ledger is large
VERSIONS = ("numpy", "pandas", "torch", "scikit-learn", "umap-learn")


def command(*arguments: str) -> Any:
    """What `ssl-companion` prints as JSON, of the recordings in the checkout."""
    from ssl_companion.__main__ import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main([*arguments, "--root", str(ROOT / "book/recordings")]) == 0
    return json.loads(printed.getvalue())


def differences(golden: Any, now: Any, where: str = "") -> Iterator[str]:
    """Where two JSON values differ; numbers may by one part in a million."""
    if isinstance(golden, dict) and isinstance(now, dict):
        for name in golden.keys() | now.keys():
            yield from differences(golden.get(name), now.get(name), f"{where}.{name}")
    elif isinstance(golden, list) and isinstance(now, list) and len(golden) == len(now):
        for i, (a, b) in enumerate(zip(golden, now, strict=True)):
            yield from differences(a, b, f"{where}[{i}]")
    elif isinstance(golden, float) and isinstance(now, (int, float)):
        if not math.isclose(golden, now, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{where}: {golden!r} became {now!r}"
    elif golden != now:
        yield f"{where}: {golden!r} became {now!r}"


def outputs(notebook: Path) -> list[str]:
    """The text of each output of an executed page: tables, sentences, alternative texts."""
    found = []
    for cell in json.loads(notebook.read_text("utf8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = data.get("text/html") or data.get("text/markdown") or data.get("text/plain")
            text = "".join(text or output.get("text", ""))
            text = re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL)
            described = " ".join(re.findall(r'alt="([^"]*)"', text))
            plain = re.sub(r"<[^>]*>|0x[0-9a-f]+|[0-9a-f-]{32,}", " ", text)
            found.append(" ".join(f"{described} {plain}".split()))
    return found


def chapters() -> dict[str, list[str]]:
    """The digest of each output of each executed page; "" for one that is timed."""
    return {
        page.stem: [
            "" if i in timed else hashlib.sha256(text.encode()).hexdigest()[:12]
            for i, text in enumerate(outputs(page))
        ]
        for page in sorted(EXECUTED.glob("*.ipynb"))
        if (timed := TIMED.get(page.stem, set())) is not None
    }


def versions() -> dict[str, str]:
    """What decides the last digits: versions, the processor, after which torch, MKL and OpenBLAS
    choose the order of their sums, and whether CIFAR-100 is here or its stand-in."""
    from ssl_companion.data import load

    processor = Path("/proc/cpuinfo")
    lines = processor.read_text("utf8").splitlines() if processor.exists() else []
    told = sorted({line for line in lines if line.startswith(("model", "cpu family", "flags"))})
    return {
        "python": sys.version.split()[0],
        **{name: version(name) for name in VERSIONS},
        "data": load("auto", "test").name,
        "processor": hashlib.sha256("\n".join(told).encode()).hexdigest()[:12],
    }


def golden(name: str) -> Any:
    """A golden output by the name of its file."""
    content = _file(name).read_bytes()
    return json.loads(gzip.decompress(content) if _file(name).suffix == ".gz" else content)


def _file(name: str) -> Path:
    """Compressed but for the ledger, whose verdicts the history of the rules reads from git."""
    return Path(__file__).parent / (f"{name}.json" if name == "claims" else f"{name}.json.gz")


def chapter_differences() -> Iterator[str]:
    """Where the executed pages differ from the golden ones, and what stands there now."""
    now, then = chapters(), golden("chapters")
    for page, digests in then["pages"].items():
        if len(now.get(page, [])) != len(digests):
            yield f"{page}: {len(digests)} outputs became {len(now.get(page, []))}"
            continue
        for i, (a, b) in enumerate(zip(digests, now[page], strict=True)):
            if a != b:
                yield f"{page}, output {i}: {outputs(EXECUTED / f'{page}.ipynb')[i][:300]}"


def main(write: bool) -> int:
    """Write all golden outputs, or print what differs from them."""
    if write:
        new = {name: command(*arguments) for name, arguments in COMMANDS.items()}
        new["chapters"] = {"versions": versions(), "pages": chapters()}
        for name, value in new.items():
            content = f"{json.dumps(value, separators=_COMPACT)}\n".encode()
            packed = gzip.compress(content, mtime=0) if _file(name).suffix == ".gz" else content
            _file(name).write_bytes(packed)
        return 0
    found = [
        f"{name}{line}"
        for name, arguments in COMMANDS.items()
        for line in differences(golden(name), command(*arguments))
    ]
    found += chapter_differences()
    print("\n".join(found) or "nothing differs")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv))
