"""The command line, called as its user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ssl_companion.__main__ import main


class Answer(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        """What `--json` printed."""
        assert self.status == 0, self.err
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """call(*arguments): of `ssl-companion`, in this process."""
    return lambda *arguments: Answer(main(list(arguments)), *capsys.readouterr())
