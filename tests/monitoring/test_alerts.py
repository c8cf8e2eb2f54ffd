"""The alerts, as Prometheus' own tool tests them, and what they lead to."""

import re
import subprocess

import pytest
import yaml
from monitoring_files import ALERTS, RULE_TESTS, RUNBOOKS, alerts, dashboards

_SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
_ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard"}
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_the_rules_are_what_prometheus_reads() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_in_its_case_and_at_no_other_minute() -> None:
    files = sorted(RULE_TESTS.glob("*.yaml"))
    running = {
        file.name: subprocess.Popen(
            ["promtool", "test", "rules", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for file in files
    }
    said = {name: process.communicate()[0] for name, process in running.items()}
    failed = {name: text for name, text in said.items() if running[name].returncode != 0}
    assert not failed, "\n".join(failed.values())
    assert len(files) > 4


def test_each_alert_has_a_case_and_a_minute_without_it() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for file in RULE_TESTS.glob("*.yaml"):
        for case in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            for check in case["alert_rule_test"]:
                (fires if check["exp_alerts"] else silent).add(check["alertname"])
                for expected in check["exp_alerts"]:
                    assert set(expected["exp_annotations"]) == _ANNOTATIONS, check
                    assert "severity" in expected["exp_labels"], check
    assert fires == silent == set(alerts())


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_says_what_it_is_how_bad_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert re.fullmatch(r"Kartoteka[A-Z][A-Za-z]+", name)
    assert alert["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert set(alert["annotations"]) == _ANNOTATIONS
    assert alert["annotations"]["runbook_url"] == f"{name}.md"
    assert alert["annotations"]["dashboard"] in dashboards()
    assert "$labels.namespace" in alert["annotations"]["description"]
    if alert["labels"]["severity"] == "critical":
        assert alert.get("for"), "one bad scrape would wake somebody up"


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_has_a_runbook_of_four_sections(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == _SECTIONS
    diagnosis = text.partition("## Diagnosis")[2]
    assert re.search(r"^    (?:kubectl|curl|dlq) ", diagnosis, re.MULTILINE)


def test_the_index_names_every_runbook_and_every_link_leads_somewhere() -> None:
    index = set(_LINK.findall((RUNBOOKS / "README.md").read_text("utf-8")))
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages <= index
    of_alerts = {name for name in pages if name.startswith("Kartoteka")}
    assert of_alerts == {f"{name}.md" for name in alerts()}
    broken = {
        f"{path.name}: {link}"
        for path in RUNBOOKS.glob("*.md")
        for link in _LINK.findall(path.read_text("utf-8"))
        if not (RUNBOOKS / link).exists()
    }
    assert broken == set()
