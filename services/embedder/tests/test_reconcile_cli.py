"""What ``python -m embedder reconcile`` takes and prints."""

import argparse
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from embedder.__main__ import main
from embedder.entrypoints.reconcile_cli import Options, add_arguments, options, run, table
from embedder.usecases.reconcile import Plan, Watch
from embedder.usecases.reconcile_report import Left, Mend, Report, Seen
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.operations import ReconcileEnded


def _parsed(*arguments: str) -> Options:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options(parser.parse_args(arguments))


async def _some(plan: Plan, watch: Watch) -> Report:
    report = Report(is_dry=plan.is_dry, seconds=1.5)
    report.seen[Seen.DOCUMENTS] = 3
    report.left[Left.WAITING] = 1
    report.mend(Mend.SUBMITTED, 2)
    watch(report)
    return report


async def _fails(plan: Plan, watch: Watch) -> Report:
    await _some(plan, watch)
    raise UnavailableError("event_log_unavailable", "Kafka is away")


def _names(folder: Path) -> list[str]:
    return [found.name for found in folder.iterdir()]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_options_become_a_plan() -> None:
    asked = _parsed(
        *("--cabinet", "7", "--dry-run", "--grace", "5", "--orphan-age", "10", "--rate", "2")
    )
    assert (asked.plan.cabinet, asked.plan.is_dry, asked.plan.rate) == (7, True, 2)
    assert asked.plan.ages.grace == timedelta(seconds=5)
    assert asked.plan.ages.orphan == timedelta(seconds=10)
    assert asked.metrics_file is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cabinet", "0"),
        ("--cabinet", "seven"),
        ("--cabinet", "²"),
        ("--grace", "-1"),
        ("--orphan-age", "nan"),
        ("--rate", "0"),
        ("--rate", "fast"),
        ("--nonsense",),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", *arguments])
    assert ended.value.code == 2


def test_wrong_settings_end_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("QDRANT_URL", raising=False)
    assert main(["reconcile"]) == 2
    assert "QDRANT_URL" in capsys.readouterr().err


async def test_the_summary_is_one_json_object_and_nothing_else() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert await run(_parsed(), _some, out=out, err=err) == 0
    summary = json.loads(out.getvalue())
    assert summary["ok"]
    assert summary["mended"]["document_submitted"] == 2
    assert summary["mended"]["orphan_chunks"] == 0
    assert summary["left"]["waiting"] == 1
    assert (summary["seconds"], summary["dry_run"], summary["not_done"]) == (1.5, False, {})
    assert err.getvalue() == ""


async def test_a_dry_run_says_what_was_not_done() -> None:
    out = io.StringIO()
    assert await run(_parsed("--dry-run"), _some, out=out, err=io.StringIO()) == 0
    summary = json.loads(out.getvalue())
    assert summary["not_done"]["document_submitted"] == 2
    assert sum(summary["mended"].values()) == 0


async def test_people_get_a_table() -> None:
    err = _Terminal()
    await run(_parsed(), _some, out=io.StringIO(), err=err)
    assert "2  document submitted" in err.getvalue()
    assert "orphan" not in err.getvalue()


async def test_a_failure_says_why_and_what_was_done_before() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert await run(_parsed(), _fails, out=out, err=err) == 1
    summary = json.loads(out.getvalue())
    assert not summary["ok"]
    assert summary["mended"]["document_submitted"] == 2
    assert "Kafka is away" in err.getvalue()


async def test_the_metrics_file_is_whole_and_tells_of_failures(tmp_path: Path) -> None:
    path = tmp_path / "reconcile.prom"
    for reconcile, is_done in ((_some, 1.0), (_fails, 0.0)):
        asked = _parsed("--metrics-file", str(path))
        await run(asked, reconcile, out=io.StringIO(), err=io.StringIO())
        text = path.read_text()
        assert f"kartoteka_reconcile_ok {is_done}" in text
        assert 'kartoteka_reconcile_mended{kind="document_submitted"} 2.0' in text
        assert 'kartoteka_reconcile_left{kind="waiting"} 1.0' in text
        assert "kartoteka_reconcile_seconds 1.5" in text
    assert _names(tmp_path) == [path.name]


async def test_a_metrics_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    asked = _parsed("--metrics-file", str(tmp_path / "no folder" / "file"))
    err = io.StringIO()
    assert await run(asked, _some, out=io.StringIO(), err=err) == 1
    assert "cannot be written" in err.getvalue()


def test_a_table_of_nothing_says_so() -> None:
    text = table({"ok": True, **Report().as_json()})
    assert "mended: nothing" in text


async def test_the_end_of_a_reconciliation_is_told_with_its_figures() -> None:
    told: list[ReconcileEnded] = []

    async def tell(ended: ReconcileEnded) -> None:
        told.append(ended)

    streams = {"out": io.StringIO(), "err": io.StringIO()}
    await run(_parsed(), _some, tell=tell, **streams)
    await run(_parsed(), _fails, tell=tell, **streams)
    assert [ended.is_ok for ended in told] == [True, False]
    assert (told[0].seconds, told[0].seen["documents"], told[0].left["waiting"]) == (1.5, 3, 1)
    assert told[0].mended["document_submitted"] == 2
    assert told[0].mended["old_run_objects"] == 0


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--cabinet", "7")], ids=" ".join)
async def test_a_look_and_one_cabinet_are_no_reconciliation_to_tell_of(
    arguments: tuple[str, ...],
) -> None:
    told: list[ReconcileEnded] = []

    async def tell(ended: ReconcileEnded) -> None:
        told.append(ended)

    await run(_parsed(*arguments), _some, tell=tell, out=io.StringIO(), err=io.StringIO())
    assert told == []
