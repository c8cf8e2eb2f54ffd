"""Compile everything below a folder to bytecode: a read-only image cannot do it later."""

import compileall
import sys
from pathlib import Path


def main() -> int:
    """Compile; 1 where a file would not."""
    done = True
    for folder in Path(sys.argv[1]).rglob("site-packages"):
        # The path that tracebacks show is the one that files have in the image.
        done &= compileall.compile_dir(
            folder,
            maxlevels=99,
            quiet=1,
            stripdir=sys.argv[1],
            prependdir="/app/.venv",
            workers=0,
        )
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
