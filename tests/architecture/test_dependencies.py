"""Each package declares what it imports: a service's image holds just that."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from source_tree import ROOT

PACKAGES = [*sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml")), ROOT / "local"]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(package: Path) -> set[str]:
    project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in project.get("optional-dependencies", {}).values():
        wanted += extra
    return {_normalised(re.split(r"[\s<>=!~;\[]", item, maxsplit=1)[0]) for item in wanted}


def _imported(package: Path) -> set[str]:
    names: set[str] = set()
    for path in (package / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_what_is_imported_is_declared(package: Path) -> None:
    distributions = packages_distributions()
    own = {path.name for path in (package / "src").iterdir()}
    missing = {
        name
        for name in _imported(package) - own - set(sys.stdlib_module_names)
        if not {_normalised(d) for d in distributions.get(name, [name])} & _declared(package)
    }
    assert missing == set()
