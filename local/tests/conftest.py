"""Makes the stand-ins importable: test files are imported by path, not as a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
