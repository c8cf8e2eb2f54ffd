"""What is deployed to watch the system: its rules, dashboards and runbooks, as files."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = [
    "ALERTS",
    "DASHBOARDS",
    "RULE_TESTS",
    "RUNBOOKS",
    "Asked",
    "alerts",
    "asked",
    "dashboards",
    "metric_names",
    "panels",
    "rules",
]

_ROOT: Final = Path(__file__).resolve().parents[2]
_FILES: Final = _ROOT / "charts" / "kartoteka" / "files"
ALERTS: Final = _FILES / "alerts.yaml"
DASHBOARDS: Final = _FILES / "dashboards"
RUNBOOKS: Final = _ROOT / "docs" / "runbooks"
RULE_TESTS: Final = Path(__file__).parent / "rules"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An expression, and who asks it."""

    where: str
    expr: str


def rules() -> list[Json]:
    """Return every rule, recording ones included."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, Json]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboards() -> dict[str, Json]:
    """Return the dashboards by uid."""
    read = (json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json")))
    return {dashboard["uid"]: dashboard for dashboard in read}


def panels(dashboard: Json) -> list[Json]:
    """Return a dashboard's panels, without the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def asked() -> Iterator[Asked]:
    """Yield what every panel asks."""
    for uid, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Asked(
                    where=f"{uid} / {panel['title']} / {target['legendFormat']}",
                    expr=target["expr"],
                )


_WORDS: Final = frozenset(
    {
        *("sum", "max", "min", "count", "group", "by", "on", "and", "or", "unless", "offset"),
        *("le", "namespace", "time"),
    }
)
_NAME: Final = re.compile(r"(?<![a-zA-Z0-9_:])[a-zA-Z_:][a-zA-Z0-9_:]*")


def metric_names(expr: str) -> set[str]:
    """Return the names of the series that an expression reads: what is no label and no function."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^}]*\}", " ", bare)
    bare = re.sub(r"\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(?:by|on)\s*\([^)]*\)", " ", bare)
    return {
        found[0]
        for found in _NAME.finditer(bare)
        if found[0] not in _WORDS and not bare[found.end() :].lstrip().startswith("(")
    }
