"""Makes the samples that are not written by hand: the PDFs, and the Russian text in cp1251.

Run from the repository root: ``.venv/bin/python local/sample_sources/generate.py``.
"""

# ruff: noqa: INP001 - a script, run by its path

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fpdf import FPDF

__all__ = ["main"]

_HERE: Final = Path(__file__).resolve().parent
_SAMPLES: Final = _HERE.parent / "samples"
_PDFS: Final = {
    "lighthouse.md": "how-a-lighthouse-works.pdf",
    "beekeeping.md": "a-beekeeping-year.pdf",
}
_MADE: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Fixed, so that the same prose makes the same bytes."""


def main() -> None:
    """Write all of them."""
    for source, name in _PDFS.items():
        _write_pdf(_HERE / source, _SAMPLES / name)
    russian = (_HERE / "samovar.ru.txt").read_text(encoding="utf-8")
    (_SAMPLES / "samovar-cp1251.txt").write_bytes(russian.encode("cp1251"))


def _write_pdf(source: Path, target: Path) -> None:
    pdf = FPDF(format=(148, 210))
    pdf.set_margins(18, 16)
    pdf.set_auto_page_break(auto=True, margin=18)
    pdf.set_creation_date(_MADE)
    chapters = 0
    for block in source.read_text(encoding="utf-8").strip().split("\n\n"):
        if block.startswith("# "):
            pdf.add_page()
            pdf.set_title(block[2:])
            _write(pdf, block[2:], style="B", size=20)
        elif block.startswith("## "):
            chapters += 1
            if chapters > 1:
                pdf.add_page()
            _write(pdf, block[3:], style="B", size=14)
        else:
            _write(pdf, block, style="", size=11)
    pdf.output(str(target))


def _write(pdf: FPDF, text: str, *, style: str, size: int) -> None:
    pdf.set_font("Times", style, size)
    pdf.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(size * 0.2)


if __name__ == "__main__":
    main()
