"""How the rules came about: every version of what a claim asks for, read from git.

    python book/_tools/rule_history.py           write `chapters/analysis/rule_history.json.gz`
    python book/_tools/rule_history.py --check   write nothing, fail where git says otherwise

Sources of old commits are parsed and never run. What has a shape that this does not know is an
error, or, for a claim that did not fit its class for a while, listed under "unreadable". A commit
cannot hold its own name: commit a changed rule first, then what this writes.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tyro

from ssl_companion.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "ssl_companion/chapters/analysis/rule_history.json.gz"
#: Where the claims have lived, and the files that rules and claims, and their classes, were in.
FOLDERS = ("ssl_companion/claims", "ssl_companion/chapters/claims")
FILES = ("rules.py", "decision.py", "ledger.py", "claim.py", "evidence.py")
#: The claim that a rule belongs to, by the names of all that there ever were.
CLAIM_OF = {
    "CLUSTERING": "clustering",
    "REGULARIZER": "regularizer", "ELASTICITY": "regularizer", "NECESSITY": "regularizer",
    "DOWNSTREAM": "downstream", "TRANSFER": "downstream",
    "COMPRESSION": "compression", "VIEW_SHARE": "compression", "CLASS_SHARE": "compression",
    "SEMANTIC": "semantic-over-random", "HIERARCHY": "hierarchy", "TIME": "time", "DEPTH": "depth",
    "GENERALITY": "generality",
}  # fmt: skip
_RULE = {"known": "", "whole": True}  # what a rule says without a word, now and ever
_WORDS = ("measurement", "control", "positive", "also")
_RECORDINGS = "book/recordings/"


def _words_of_a_claim(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in _WORDS if fields.get(name)}


def _pointed_to(words: dict[str, Any], by_claim: dict[str, Any]) -> dict[str, str]:
    """What "as for <claim>" stands for, since it changes with that claim's words."""
    found = re.match(r"as for ([\w-]+)", words.get("measurement", ""))
    other = by_claim.get(found[1]) if found else None
    return {"there": other["measurement"]} if other else {}


class _Source:
    """The claims' sources at one commit, by file."""

    def __init__(self, blobs: dict[str, str]) -> None:
        self.modules = {name: ast.parse(text) for name, text in blobs.items()}
        self.known: dict[str, ast.expr] = {}
        for module in self.modules.values():
            for node in module.body:
                match node:
                    case ast.Assign(targets=[ast.Name(id=name)], value=value):
                        self.known[name] = value
                    case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                        self.known[name] = value

    def value(self, node: ast.expr) -> Any:
        """A literal, with the names of constants replaced; a rule or function is its name."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self.known and not _is_call(self.known[name]):
                return self.value(self.known[name])
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
                return name
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return [self.value(part) for part in parts]
            case ast.JoinedStr(values=parts):
                return "".join(self.value(part) for part in parts)
            case ast.FormattedValue(value=of, conversion=-1, format_spec=None):
                return str(self.value(of))
            case ast.UnaryOp(op=ast.USub(), operand=of):
                return -self.value(of)
            case ast.BinOp(left=a, op=ast.Add(), right=b):
                return self.value(a) + self.value(b)
            case ast.BinOp(left=a, op=ast.Div(), right=b):
                return self.value(a) / self.value(b)
        raise ValueError(f"{ast.unparse(node)!r}: expected a literal; teach `_Source.value` it")

    def rules(self) -> dict[str, dict[str, Any]]:
        """Every rule by its name.

        Raises:
            ValueError: a rule has none.
        """
        named = {name: node for name, node in self.known.items() if _is_call(node, "Rule")}
        made = (node for module in self.modules.values() for node in ast.walk(module))
        for node in made:
            if isinstance(node, ast.expr) and _is_call(node, "Rule") and node not in named.values():
                raise ValueError(f"{ast.unparse(node)!r}: expected a rule with a name of its own")
        return {name: _RULE | self._fields(node, "Rule") for name, node in named.items()}

    def claims(self) -> dict[str, dict[str, Any] | str]:
        """What each claim says of its measurement, or why that cannot be read.

        Raises:
            ValueError: they are listed in another way.
        """
        found: dict[str, dict[str, Any] | str] = {}
        listed = self.known.get("CLAIMS", ast.Tuple(elts=[], ctx=ast.Load()))
        if not isinstance(listed, ast.Tuple) or not all(_is_call(n, "Claim") for n in listed.elts):
            raise ValueError(
                f"CLAIMS: {ast.unparse(listed)[:60]!r}; expected a tuple of Claim(...)"
            )
        for node in listed.elts:
            assert isinstance(node, ast.Call)
            name = self.value(node.args[0])
            try:
                found[name] = _words_of_a_claim(self._fields(node, "Claim"))
            except TypeError as error:
                found[name] = str(error)
        return found

    def decision(self) -> str:
        """What the function that decides says of itself."""
        for module in self.modules.values():
            for node in module.body:
                if isinstance(node, ast.FunctionDef) and node.name == "decide":
                    return ast.get_docstring(node) or ""
        return ""

    def _fields(self, call: ast.expr, kind: str) -> dict[str, Any]:
        """Arguments by the names that the class had for them at that commit.

        Raises:
            TypeError: they are fewer than it asks for, or more.
        """
        assert isinstance(call, ast.Call)
        names, needed = self._signature(kind)
        given = dict(zip(names, call.args, strict=False)) | {
            str(word.arg): word.value for word in call.keywords
        }
        if len(call.args) > len(names) or not needed <= given.keys():
            said = f"{len(given)} arguments; {kind} had {', '.join(names)}"
            raise TypeError(said)
        return {name: self.value(node) for name, node in given.items()}

    def _signature(self, kind: str) -> tuple[list[str], set[str]]:
        for module in self.modules.values():
            for node in module.body:
                if isinstance(node, ast.ClassDef) and node.name == kind:
                    fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
                    names = [ast.unparse(field.target) for field in fields]
                    return names, {ast.unparse(f.target) for f in fields if f.value is None}
        raise ValueError(f"no class {kind} in {', '.join(self.modules)}")


def _is_call(node: ast.expr, name: str = "") -> bool:
    return isinstance(node, ast.Call) and (not name or ast.unparse(node.func) == name)


def git(root: Path) -> Callable[..., str]:
    """What git says in a checkout."""

    def say(*arguments: str) -> str:
        command = ["git", "-C", str(root), "-c", "core.quotepath=false", *arguments]
        utc = os.environ | {"TZ": "UTC"}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=utc).stdout

    return say


def has_history(root: Path = ROOT) -> bool:
    """Whether this is the top of a clone with all of its commits."""
    say = git(root)
    try:
        shallow = say("rev-parse", "--is-shallow-repository").strip() == "true"
        return not shallow and Path(say("rev-parse", "--show-toplevel").strip()) == root.resolve()
    except (OSError, subprocess.CalledProcessError):
        return False


def history(root: Path = ROOT, head: str = "HEAD") -> dict[str, Any]:
    """Every version of what the claims ask for, up to a commit.

    Args:
        root: of a clone with all of its commits.
        head: the commit.

    Returns:
        "claims": by claim, its versions, oldest first: commit, rules, and the words that say what
        is measured and what its controls are; "decision": versions of how a verdict is given;
        "commits": of each that is named there, date, message, names of the recordings that its
        first parent held, and the verdicts that the golden ledger there had; "touched": all
        other commits to the claims' code but merges; "first": the recordings that came first,
        with the times at which their runs began and ended; "unreadable": see above.

    Raises:
        ValueError: for a shape that is not known.
        subprocess.CalledProcessError: git failed.
    """
    say = git(root)

    @cache
    def source(blobs: tuple[tuple[str, str], ...]) -> _Source:
        return _Source({name: say("cat-file", "blob", blob) for name, blob in blobs})

    @cache
    def parents(commit: str) -> tuple[str, ...]:
        return tuple(say("rev-parse", f"{commit}^@").split())

    @cache
    def found(commit: str) -> _Source:
        listed = say("ls-tree", commit, *(f"{folder}/" for folder in FOLDERS)).splitlines()
        blobs = {Path(line.split("\t")[1]).name: line.split()[2] for line in listed}
        return source(tuple(sorted((n, b) for n, b in blobs.items() if n in FILES)))

    @cache
    def state(commit: str) -> dict[str, dict[str, Any]]:
        """By claim, and "" for the decision; where words cannot be read, those before."""
        rules, states = found(commit).rules(), {}
        if strangers := rules.keys() - CLAIM_OF.keys():
            raise ValueError(f"{commit[:7]}: {sorted(strangers)}: say in CLAIM_OF whose they are")
        for claim, words in found(commit).claims().items():
            own = {name: rule for name, rule in rules.items() if CLAIM_OF[name] == claim}
            if isinstance(words, str):
                before = state(parents(commit)[0])[claim]
                words = _words_of_a_claim(before)
            states[claim] = {"rules": own, **words}
        for words in states.values():
            words |= _pointed_to(words, states)
        decision = found(commit).decision()
        return states | ({"": {"words": decision}} if decision else {})

    def versions(of: str) -> list[dict[str, Any]]:
        return [
            {"commit": commit[:7], **state(commit)[of]}
            for commit in touching
            if of in state(commit)
            and all(state(parent).get(of) != state(commit)[of] for parent in parents(commit))
        ]

    order = ("--full-history", "--topo-order", "--reverse", head, "--")
    touching = say("rev-list", *order, *FOLDERS).split()
    claims = {name: versions(name) for name in state(touching[-1]) if name}
    decision = versions("")
    named = {version["commit"] for of in (*claims.values(), decision) for version in of}
    commits = {c[:7]: _commit(say, c, parents(c)) for c in touching if c[:7] in named}
    touched = [
        {"commit": c[:7], "date": _date(say, c), "subject": _message(say, c)[0]}
        for c in touching
        if c[:7] not in named and len(parents(c)) == 1
    ]
    return {
        "claims": claims,
        "decision": decision,
        "commits": commits,
        "touched": touched,
        "first": _first_recordings(say, head),
        "unreadable": [
            {"commit": commit[:7], "claims": lost, "why": found(commit).claims()[lost[0]]}
            for commit in touching
            if (lost := [c for c, w in found(commit).claims().items() if isinstance(w, str)])
        ],
    }


def _date(say: Callable[..., str], commit: str) -> str:
    how = ("--date=format-local:%Y-%m-%d %H:%M", "--format=%ad")
    return say("log", "-1", *how, commit).strip()


def _message(say: Callable[..., str], commit: str) -> tuple[str, str]:
    subject, _, body = say("log", "-1", "--format=%s%n%b", commit).partition("\n")
    return subject, " ".join(body.split("\n\n")[0].split())


def _commit(say: Callable[..., str], commit: str, parents: tuple[str, ...]) -> dict[str, Any]:
    subject, body = _message(say, commit)
    before = parents[0] if parents else ""
    told = {"date": _date(say, commit), "subject": subject, "body": body}
    return told | {"recorded": _recorded(say, before), "verdicts": _verdicts(say, before)}


def _recorded(say: Callable[..., str], commit: str) -> list[str]:
    paths = say("ls-tree", "-r", "--name-only", commit, _RECORDINGS) if commit else ""
    found = re.findall(rf"(?m)^{_RECORDINGS}(\S+)/run\.json$", paths)
    return sorted(found)


def _verdicts(say: Callable[..., str], commit: str) -> dict[str, str]:
    """By claim, from the golden ledger; {} before there was one."""
    path = "tests/golden/claims.json"
    if not commit or not say("ls-tree", "--name-only", commit, path):
        return {}
    return {row["id"]: row["verdict"] for row in json.loads(say("show", f"{commit}:{path}"))}


def _first_recordings(say: Callable[..., str], head: str) -> dict[str, Any]:
    where = f"{_RECORDINGS}*run.json"
    commits = say("log", "--reverse", "--diff-filter=A", "--format=%H", head, "--", where).split()
    if not commits:
        return {}
    runs = {}
    for name in _recorded(say, commits[0]):
        run = json.loads(say("show", f"{commits[0]}:{_RECORDINGS}{name}/run.json"))
        runs[name] = {end: run[end][:16].replace("T", " ") for end in ("start", "end")}
    return {"commit": commits[0][:7], "date": _date(say, commits[0]), "runs": runs}


def written(found: dict[str, Any]) -> bytes:
    """What the file holds: most of a version repeats the one before, so it is compressed."""
    return gzip.compress(json.dumps(found, ensure_ascii=False).encode("utf8"), mtime=0)


def behind(kept: dict[str, Any], now: dict[str, Any], head: str) -> list[str]:
    """Claims (and "decision") whose versions the file lacks or has otherwise.

    Args:
        kept: what the file holds.
        now: what git gives.
        head: the newest commit; its own versions may be absent.
    """
    pairs = {"decision": (kept["decision"], now["decision"])}
    pairs |= {name: (kept["claims"].get(name), of) for name, of in now["claims"].items()}
    return [
        name
        for name, (old, new) in pairs.items()
        if old not in (new, [version for version in new if version["commit"] != head[:7]])
    ]


def main(check: bool = False) -> int:
    """Write the history of the rules, or with --check compare; 1 where it differs.

    Args:
        check: write nothing.
    """
    if not has_history():
        print("This checkout has no history, or not all of it: git fetch --unshallow")
        return 1
    now = history()
    for one in now["unreadable"]:
        print(f"not read: {one['commit']}, {', '.join(one['claims'])}: {one['why']}")
    if check:
        head = git(ROOT)("rev-parse", "HEAD").strip()
        stale = behind(json.loads(gzip.decompress(FILE.read_bytes())), now, head)
        print(f"differs: {', '.join(stale)}" if stale else "as git has it")
        return int(bool(stale))
    with atomic_file(FILE) as file:
        file.write_bytes(written(now))
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
