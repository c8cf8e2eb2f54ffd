"""Rules for every module: small, named for one noun, silent at import."""

import ast
from pathlib import Path

import pytest
from source_tree import ROOT, modules, shown, sources

MOST_LINES = 400
BANNED = frozenset(
    {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "shared"}
)
GRANTING = frozenset(
    {
        "services/ingest-api/src/ingest_api/domain/access.py",
        "services/embedder/src/embedder/domain/job.py",
        "services/embedder/src/embedder/entrypoints/plans_http.py",
        "services/embedder/src/embedder/usecases/rebuild.py",
        "services/embedder/src/embedder/usecases/reconcile.py",
        "services/embedder/src/embedder/usecases/reindex_runs.py",
    }
)
FAUST = frozenset(
    {
        "services/embedder/src/embedder/adapters/faust_log.py",
        "services/embedder/src/embedder/entrypoints/worker.py",
    }
)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {shown(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {path: n for path, n in lengths.items() if n > MOST_LINES} == {}


def test_no_module_is_named_for_a_grab_bag() -> None:
    assert [shown(path) for path in modules() if path.stem in BANNED] == []


def _reads_environment(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="environ" | "getenv" | "environb", value=ast.Name(id="os")):
            return True
        case ast.ImportFrom(module="os", names=names):
            return any(name.name in {"environ", "getenv", "environb"} for name in names)
        case _:
            return False


def test_only_settings_read_the_environment() -> None:
    readers = {
        shown(path)
        for path in sources()
        if path.name != "settings.py"
        and "kartoteka_testkit" not in path.parts
        and any(_reads_environment(node) for node in ast.walk(_tree(path)))
    }
    assert readers == set()


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        match node:
            case ast.Import(names=names):
                found |= {name.name.partition(".")[0] for name in names}
            case ast.ImportFrom(module=str() as module, level=0):
                found.add(module.partition(".")[0])
            case _:
                pass
    return found


@pytest.mark.parametrize(
    ("vendor", "allowed"),
    [
        ("faust", FAUST),
        ("mode", FAUST),
        (
            "sentence_transformers",
            frozenset(
                {
                    "services/embedder/src/embedder/adapters/model_export.py",
                    "services/embedder/src/embedder/adapters/inference/torch_backend.py",
                }
            ),
        ),
    ],
)
def test_a_vendor_is_imported_by_named_modules_only(vendor: str, allowed: frozenset[str]) -> None:
    importers = {shown(path) for path in sources() if vendor in _imported(path)}
    assert importers <= allowed
    assert len(importers) <= 2


def test_only_access_checks_grant_a_cabinet() -> None:
    callers = {
        shown(path)
        for path in sources()
        if any(
            isinstance(node, ast.ImportFrom)
            and node.module == "kartoteka_contracts.access"
            and any(name.name == "grant" for name in node.names)
            for node in ast.walk(_tree(path))
        )
    }
    assert callers - {shown(path) for path in sources() if "kartoteka_testkit" in path.parts} == (
        GRANTING
    )


def test_every_public_module_says_what_is_public() -> None:
    silent = [
        shown(path)
        for path in sources()
        if path.stem not in {"__init__", "__main__"}
        and not any(
            isinstance(node, ast.Assign | ast.AnnAssign)
            and any(
                isinstance(target, ast.Name) and target.id == "__all__"
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            )
            for node in _tree(path).body
        )
    ]
    assert silent == []


def _last_statement(path: Path) -> str:
    return ast.unparse(_tree(path).body[-1])


def test_every_service_ends_without_the_interpreters_shutdown() -> None:
    """Else threads of the object storage library may abort a process that did its work."""
    entries = sorted((ROOT / "services").glob("*/src/*/__main__.py"))
    assert len(entries) == 3
    assert {shown(path): _last_statement(path) for path in entries} == {
        shown(path): "if __name__ == '__main__':\n    end_process(main())" for path in entries
    }
