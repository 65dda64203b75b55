"""What the pages make of the repository's address: buttons, and the first cell of each notebook.

Where `_config.yml` holds the placeholder, a build takes the address that it runs from, and Colab
opens the notebooks that the publish workflow has put on a branch with that address; where none is
known, the links that need one are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from address import BRANCH, Address, address

__all__ = ["Address", "find_repository", "leave_out_or_lead", "write_address"]
_BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def find_repository(app: Sphinx, config: Any) -> Address:
    """Put the address where the theme and the other parts of this extension look for it."""
    options = config.html_theme_options
    found = address(Path(app.srcdir), options["repository_url"])
    if found.url:
        options["repository_url"] = found.url
    else:  # the theme wants one, for links that are then left out
        options.update(dict.fromkeys(_BUTTONS, False))
    config.companion_address = found
    return found


def write_address(app: Sphinx, docname: str, content: list[str]) -> None:
    """The first cell as a reader of this build needs it."""
    content[0] = app.config.companion_address.written(content[0])


def leave_out_or_lead(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """No launch buttons without an address; those of a derived one lead to the built notebooks."""
    found: Address = app.config.companion_address
    buttons = context.get("header_buttons", [])
    if not found.url:
        buttons[:] = [one for one in buttons if one.get("label") != "launch-buttons"]
    elif found.derived:
        branch = app.config.html_theme_options["repository_branch"]
        for group in buttons:
            if group.get("label") == "launch-buttons":
                for one in group["buttons"]:
                    one["url"] = one["url"].replace(f"/blob/{branch}/", f"/blob/{BRANCH}/")
