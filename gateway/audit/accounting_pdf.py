"""An accounting of disclosures on paper: A4, each page with its number and the table's head, names in any script.

The letters come from a font of the system where there is one (Debian: `fonts-dejavu-core`, `fonts-noto-cjk`); what no
font here has is spelled out (`U+738B`), so that nothing is lost and nothing fails.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.audit.accounting import Accounting, Act, Disclosure, Given, Kind
from gateway.audit.accounting_table import WRONG_LINK
from gateway.purposes import in_words

if TYPE_CHECKING:
    from fpdf import FPDF

FONTS = (
    *("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf"),
    *("/usr/share/fonts/TTF/DejaVuSans.ttf", "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf"),
    *("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc"),
    *("/usr/share/fonts/truetype/noto/NotoSansArabic-Regular.ttf", "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
)
"""Where systems keep fonts; the first that is there is the text's, the others lend what it lacks."""
TITLES: dict[Kind, str] = {
    "hipaa": "Accounting of disclosures",
    "part2": "List of disclosures of Part 2 programmes",
}
IN_WORDS: dict[Act, str] = {"links": "links to studies", "images": "the images themselves", "record": "what is on file"}
_HEAD = ("When (UTC)", "To whom", "Why", "What", "Relied on")
_WIDTHS = (11, 23, 12, 34, 20)
_LINES = 12
"""Lines of a cell, each of which may take several: so that a row fits on a page."""
_LONGEST = 160


def as_pdf(accounting: Accounting, fonts: Sequence[str] = FONTS) -> bytes:
    """The pages. `fonts` are files, those that aren't there are passed by."""
    from fpdf import FPDF  # loads pictures and fonts, which nothing else needs

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font(size=7)
            self.cell(0, 5, f"{made}    page {self.page_no()} of {{nb}}", align="R")

    made = f"made {accounting.made_at:%Y-%m-%d %H:%M} UTC"
    pages = Pages(orientation="landscape", format="A4")
    letters = _set_font(pages, [font for font in fonts if Path(font).is_file()])
    pages.set_creation_date(accounting.made_at)
    pages.set_title(TITLES[accounting.kind])
    pages.set_lang("en")
    pages.set_margin(12)
    pages.set_auto_page_break(auto=True, margin=15)
    pages.add_page()
    pages.set_font(size=15)
    pages.cell(0, 9, TITLES[accounting.kind], new_x="LMARGIN", new_y="NEXT")
    pages.set_font(size=9)
    for line in _head_lines(accounting):
        pages.multi_cell(0, 5, printable(line, letters), new_x="LMARGIN", new_y="NEXT")
    pages.ln(3)
    pages.set_font(size=7)
    with pages.table(col_widths=_WIDTHS, line_height=3.6, padding=1, text_align="LEFT", v_align="TOP") as table:
        table.row([*_HEAD])
        for one in accounting.disclosures:
            for cells in _rows(one):
                table.row([printable(cell, letters) for cell in cells])
    if not accounting.disclosures:
        pages.set_font(size=9)
        pages.ln(2)
        pages.cell(0, 6, "Nothing was disclosed in this time.")
    return bytes(pages.output())


def printable(text: str, letters: Collection[int] | None) -> str:
    """`text` as it can be printed: letters that no font has, and what can't be seen, by their code points.

    `letters` are the code points there are; None where it is the PDF's own fonts (Windows-1252).
    """
    return "".join(one if _has(one, letters) else "\n" if one == "\n" else f"[U+{ord(one):04X}]" for one in text)


def _has(letter: str, letters: Collection[int] | None) -> bool:
    if not letter.isprintable():
        return False
    if letters is not None:
        return ord(letter) in letters
    return _in_latin_1(letter)


def _in_latin_1(letter: str) -> bool:
    try:
        letter.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _set_font(pages: "FPDF", files: Sequence[str]) -> Collection[int] | None:
    """The font is set; which letters it and its fallbacks have."""
    if not files:
        pages.set_font("helvetica")
        return None
    from fpdf.fonts import TTFFont

    letters: set[int] = set()
    for n, file in enumerate(files):
        pages.add_font(f"font{n}", fname=file)
        pages.add_font(f"font{n}", style="B", fname=file)  # the table's head asks for it
        added = pages.fonts[f"font{n}"]
        letters |= set(added.cmap if isinstance(added, TTFFont) else ())
    pages.set_font("font0")
    pages.set_fallback_fonts([f"font{n}" for n in range(1, len(files))])
    pages.set_text_shaping(use_shaping_engine=False)
    return letters


def _head_lines(accounting: Accounting) -> Sequence[str]:
    count = len(accounting.disclosures)
    many = "" if count == 1 else "s"
    return (
        f"Patient/{accounting.patient}",
        f"From {accounting.since:%Y-%m-%d} to {accounting.until:%Y-%m-%d %H:%M} UTC: {count} disclosure{many}",
    )


def _rows(one: Disclosure) -> Iterator[Sequence[str]]:
    """The disclosure as rows that each fit on a page: a second one only where there is very much."""
    to = one.recipient
    lines = (to.name, to.organization if to.organization != to.name else "", to.person, to.application, to.address)
    begin = (
        f"{one.at:%Y-%m-%d %H:%M:%S}",
        _cell(dict.fromkeys(lines)),
        _cell(in_words(purpose) for purpose in one.purposes),
    )
    what = [IN_WORDS[one.act]] if one.act == "images" else []
    what += [WRONG_LINK] if one.wrong_link else []
    what += [line for given in one.given for line in _what(given)] + list(one.other)
    basis = list(dict.fromkeys(word for given in one.given for word in given.basis))
    for n in range(0, max(len(what), len(basis), 1), _LINES):
        yield (*begin, _cell(what[n : n + _LINES]), _cell(basis[n : n + _LINES]))
        begin = ("(continued)", "", "")


def _cell(lines: Iterable[str]) -> str:
    return "\n".join(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in lines if line)


def _what(given: Given) -> Sequence[str]:
    count = len(given.studies)
    return (f"{given.name} ({given.facility}): {count} {'study' if count == 1 else 'studies'}", *given.studies)
