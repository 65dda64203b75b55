"""Each rule's direction, null and least effect, written down a second time."""

from __future__ import annotations

import pytest

from ssl_companion.chapters.claims import rules
from ssl_companion.chapters.claims.decision import Rule

#: A threshold that changes is changed here as well, by hand, and its `known` says what was known.
ASKED = {
    "CLUSTERING": ("above", 1.0, 2.0),
    "ELASTICITY": ("above", 0.0, 0.2),
    "NECESSITY": ("above", 0.0, 2 / 3),
    "DOWNSTREAM": ("above", 0.0, 0.5),
    "TRANSFER": ("above", 0.0, 0.1),
    "VIEW_SHARE": ("above", 0.0, 0.05),
    "CLASS_SHARE": ("above", 0.0, 0.02),
    "SEMANTIC": ("above", 0.0, 0.05),
    "HIERARCHY": ("above", 0.0, 0.05),
    "TIME": ("above", 0.0, 0.8),
    "DEPTH": ("above", 0.0, 0.8),
    "GENERALITY": ("above", 0.5, 0.75),
}
#: Those that the estimate has to reach; all others ask it of the whole interval.
BY_ESTIMATE = {"ELASTICITY", "NECESSITY"}
RULES = {name: rule for name, rule in vars(rules).items() if isinstance(rule, Rule)}


def test_all_rules_are_listed() -> None:
    assert RULES.keys() == ASKED.keys()


@pytest.mark.parametrize("name", ASKED)
def test_a_rule_asks_what_it_asked(name: str) -> None:
    rule = RULES[name]
    assert (rule.direction, rule.null, rule.least) == ASKED[name]
    assert rule.whole is (name not in BY_ESTIMATE)
