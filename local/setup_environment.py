#!/usr/bin/env python3
"""Sets up all that `make run` and `make test` need; see `--help`. Standard library only."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told so
    sys.exit(
        "Kartoteka needs Python 3.11 or newer, and this is "
        + sys.version.split()[0]
        + ". Run it with another interpreter, for example: make run PYTHON=python3.11"
    )

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from kartoteka_local.setup.main import main

if __name__ == "__main__":
    sys.exit(main())
