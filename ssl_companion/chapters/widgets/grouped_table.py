"""A table whose rows stand in groups, each under a head of its own."""

from __future__ import annotations

import html
from dataclasses import dataclass
from itertools import groupby

import pandas as pd


@dataclass(frozen=True, eq=False)
class GroupedTable:
    """Rows under the name of their group, as HTML that follows the page's theme, and as text.

    Attributes:
        frame: its first column names each row's group, where the rows of a group follow each
            other; its second names the row.

    Raises:
        ValueError: fewer than three columns.

    Example:
        >>> frame = pd.DataFrame({"what": ["width", "width"], "run": ["8", "64"], "n": ["3", "1"]})
        >>> GroupedTable(frame)
        width
          run n
            8 3
           64 1
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        if self.frame.shape[1] < 3:
            raise ValueError(
                f"frame: columns {list(self.frame)}; expected a group, a name, and one more"
            )

    def _groups(self) -> list[tuple[str, list[list[str]]]]:
        rows = [[str(value) for value in row] for row in self.frame.itertuples(index=False)]
        found = groupby(rows, key=lambda row: row[0])
        return [(group, [row[1:] for row in own]) for group, own in found]

    def _repr_html_(self) -> str:
        heads = "".join(
            f'<th scope="col">{html.escape(str(name))}</th>' for name in self.frame.columns[1:]
        )
        parts = [f"<thead><tr>{heads}</tr></thead>"]
        for group, rows in self._groups():
            wide = self.frame.shape[1] - 1
            head = f'<tr><th colspan="{wide}" scope="rowgroup">{html.escape(group)}</th></tr>'
            parts.append(f"<tbody>{head}{''.join(map(_row, rows))}</tbody>")
        return f'<table class="dataframe companion-table grouped">{"".join(parts)}</table>'

    def __repr__(self) -> str:
        texts = []
        for group, rows in self._groups():
            shown = pd.DataFrame(rows, columns=self.frame.columns[1:]).to_string(index=False)
            texts.append("\n".join([group, *(f"  {line}" for line in shown.splitlines())]))
        return "\n".join(texts)


def _row(values: list[str]) -> str:
    name, *cells = map(html.escape, values)
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
