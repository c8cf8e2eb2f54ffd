"""What whoever has installed the chart reads."""

from typing import Any

import pytest

from tests.charts.modes import REPRESENTATIVE
from tests.charts.rendering import Renderer, Values


@pytest.mark.parametrize("values", REPRESENTATIVE.values(), ids=REPRESENTATIVE.keys())
def test_notes_tell_the_next_commands(render: Renderer, values: tuple[Values, ...]) -> None:
    said = render.notes(*values, {"crdCheck": False})
    for command in (
        "export KEY=",
        "export URL=",
        "/rag/add-document",
        "/rag/search",
        "create job reindex-now --from=cronjob/",
        "SCHEDULER_REINDEX_CABINETS=7",
        "delete pvc,secret,configmap",
        "delete lease rag-kartoteka-scheduler",
    ):
        assert command in said
    assert "<no value>" not in said


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({}, "NOT FOR PRODUCTION: kafka, objectStorage, qdrant are"),
        ({"model": {"backend": "hash"}}, "shared words only"),
        ({"ingress": {"enabled": True}}, "no TLS"),
        ({"topics": {"provision": False}}, "kartoteka-topics provision"),
    ],
    ids=["builtin", "hash", "ingress", "topics"],
)
def test_notes_warn_of_what_is_unfit(
    render: Renderer, values: dict[str, Any], warning: str
) -> None:
    assert warning in render.notes(values)


def test_production_is_not_warned_of(render: Renderer) -> None:
    said = render.notes(*REPRESENTATIVE["production"], {"crdCheck": False})
    assert "NOT FOR PRODUCTION" not in said
    assert "WARNING" not in said


def test_a_key_of_ones_own_is_not_looked_for_in_the_charts_secret(render: Renderer) -> None:
    said = render.notes({"auth": {"existingSecret": "mine"}, "tests": {"existingSecret": "mine"}})
    assert "your Secret mine" in said
    assert "admin-key" not in said
