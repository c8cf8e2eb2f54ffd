"""docs/chart-scorecard.md claims nothing that no test shows."""

import ast
import re
from functools import cache

from tests.charts.rendering import ROOT

_ANSWERS = {"yes", "partly", "no", "rendered only"}
_SHOWN_ELSEWHERE = {"51"}
"""A page of measurements, whose figures name their evidence themselves."""


def _rows() -> list[list[str]]:
    text = (ROOT / "docs" / "chart-scorecard.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in row] for row in rows]


@cache
def _tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_row_is_answered() -> None:
    rows = _rows()
    assert [row[0] for row in rows] == [str(number) for number in range(1, 61)]
    assert {row[2] for row in rows} <= _ANSWERS


def test_every_test_that_is_named_exists() -> None:
    named = [re.findall(r"`([^`]+)::([^`]+)`", row[3]) for row in _rows()]
    assert sum(map(len, named)) > 60
    for row in named:
        for path, name in row:
            assert name in _tests(path), f"{path}::{name}"


def test_whatever_is_claimed_is_shown_and_whatever_is_not_whole_is_explained() -> None:
    for number, thing, answer, shown, remark in _rows():
        if answer in {"yes", "rendered only"} and number not in _SHOWN_ELSEWHERE:
            assert shown, thing
        if answer in {"partly", "rendered only"}:
            assert remark, thing
