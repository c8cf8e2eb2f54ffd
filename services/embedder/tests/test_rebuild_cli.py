"""What ``python -m embedder rebuild`` takes and prints."""

import argparse
import io
import json

import pytest

from embedder.__main__ import main
from embedder.entrypoints.rebuild_cli import (
    add_rebuild_arguments,
    progress_line,
    rebuild_plan,
    run_rebuild,
)
from embedder.usecases.rebuild import RebuildPlan, Watch
from embedder.usecases.rebuild_report import RebuildReport, Sent
from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.ids import CabinetId, DocumentId, Version

_DOCUMENT = DocumentId("f3bd7c9c-7b9e-5a3c-9a52-1f1c9b8f5d11")


def _plan(*arguments: str) -> RebuildPlan:
    parser = argparse.ArgumentParser()
    add_rebuild_arguments(parser)
    return rebuild_plan(parser.parse_args(arguments))


def _report(**fields: object) -> RebuildReport:
    report = RebuildReport(seconds=21.0, survey_seconds=1.0, documents=90, todo=50, done=10)
    report.sent[Sent.SUBMITTED] = 12
    for name, value in fields.items():
        setattr(report, name, value)
    return report


async def _some(_plan: RebuildPlan, watch: Watch) -> RebuildReport:
    report = _report()
    watch(report)
    return report


async def _fails(plan: RebuildPlan, watch: Watch) -> RebuildReport:
    await _some(plan, watch)
    raise UnavailableError("index_unavailable", "Qdrant is away")


async def _stalls(plan: RebuildPlan, watch: Watch) -> RebuildReport:
    await _some(plan, watch)
    raise TimeoutError("nothing was decided")


async def _gives_up(_plan: RebuildPlan, watch: Watch) -> RebuildReport:
    report = _report()
    report.gave_up(CabinetId(7), _DOCUMENT, Version(5))
    watch(report)
    return report


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_options_become_a_plan() -> None:
    plan = _plan("--cabinet", "7", "--dry-run", "--window", "20", "--patience", "30")
    assert (plan.cabinet, plan.is_dry) == (7, True)
    assert (plan.limits.documents, plan.limits.patience_seconds) == (20, 30)
    assert _plan() == RebuildPlan()


@pytest.mark.parametrize(
    "arguments",
    [("--cabinet", "0"), ("--window", "0"), ("--window", "many"), ("--patience", "-1"), ("--all",)],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rebuild", *arguments])
    assert ended.value.code == 2


def test_wrong_settings_end_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("QDRANT_URL", raising=False)
    assert main(["rebuild"]) == 2
    assert "QDRANT_URL" in capsys.readouterr().err


def test_help_says_when_and_what_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rebuild", "--help"])
    said = capsys.readouterr().out
    assert all(word in said for word in ("When:", "Cost:", "Before:", "examples:", "exit status:"))


async def test_the_summary_is_one_json_object_and_nothing_else() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert await run_rebuild(_plan(), _some, out=out, err=err) == 0
    summary = json.loads(out.getvalue())
    assert summary["ok"]
    assert (summary["todo"], summary["done"], summary["dry_run"]) == (50, 10, False)
    assert summary["sent"]["document_submitted"] == 12
    assert summary["sent"]["cabinet_seen"] == summary["outcomes"]["failed"] == 0
    assert err.getvalue() == ""


@pytest.mark.parametrize(
    ("rebuild", "said"), [(_fails, "Qdrant is away"), (_stalls, "nothing was decided")]
)
async def test_a_failure_says_why_and_what_was_done_before(rebuild: object, said: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert await run_rebuild(_plan(), rebuild, out=out, err=err) == 1  # type: ignore[arg-type]  # one of the two above
    summary = json.loads(out.getvalue())
    assert (summary["ok"], summary["done"]) == (False, 10)
    assert said in err.getvalue()


async def test_works_that_stay_undecided_are_a_failure_and_named() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert await run_rebuild(_plan(), _gives_up, out=out, err=err) == 1
    summary = json.loads(out.getvalue())
    assert summary["undecided"] == 1
    assert summary["failures"] == [
        {"cabinet_id": 7, "document_id": _DOCUMENT, "version": 5, "code": "undecided"}
    ]
    assert "stay undecided" in err.getvalue()


def test_progress_says_how_far_how_fast_and_how_long() -> None:
    line = progress_line(_report(waiting=7))
    assert line == "10 of 50 documents, 7 under way, 0.5/s, 0:01:20 left"
    assert progress_line(_report(done=0)) == "0 of 50 documents, 0 under way"
    assert progress_line(_report(survey_seconds=None)).startswith("counting: 90 documents")
