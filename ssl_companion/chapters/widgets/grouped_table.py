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
        stack: whether a narrow page of the book shows a row's cells below each other, each under
            its column's name; for columns of long texts.

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
    stack: bool = False

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
            body = "".join(self._row(row) for row in rows)
            parts.append(f"<tbody>{head}{body}</tbody>")
        form = "grouped stacked" if self.stack else "grouped"
        return f'<table class="dataframe companion-table {form}">{"".join(parts)}</table>'

    def _row(self, values: list[str]) -> str:
        name, *cells = map(html.escape, values)
        if self.stack:  # the style sheet shows the name where there is no room for columns
            heads = [html.escape(str(column)) for column in self.frame.columns[2:]]
            pairs = zip(heads, cells, strict=True)
            cells = [f'<div data-head="{head}">{cell}</div>' for head, cell in pairs]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        return f'<tr><th scope="row">{name}</th>{row}</tr>'

    def __repr__(self) -> str:
        texts = []
        for group, rows in self._groups():
            shown = pd.DataFrame(rows, columns=self.frame.columns[1:]).to_string(index=False)
            texts.append("\n".join([group, *(f"  {line}" for line in shown.splitlines())]))
        return "\n".join(texts)
