"""How long the machine runs, and what is printed of a run that fails."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from hypothesis import HealthCheck, Phase, settings

__all__ = ["quiet", "runs"]


def runs(examples: int, steps: int, *, shrinks: bool = True) -> settings:
    """Return the settings of a run.

    Nothing is remembered between runs: a failure prints what repeats it.
    """
    phases = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target)
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=(*phases, Phase.shrink) if shrinks else phases,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what workers log to themselves."""
    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent, processors=[structlog.processors.JSONRenderer()])
    try:
        yield
    finally:
        structlog.configure(**before)
