"""Draw a sheet as a PDF: typst, a template of ours, and fonts that come with their wheels. Nothing is fetched.

What a sheet says reaches the template as data and is set as text; there is no markup in it that anybody could smuggle
in. The same sheet is the same bytes, whenever and wherever it is drawn: the only instant in it is its own.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import fontpkg_inter
import fontpkg_noto_sans
import fontpkg_noto_sans_arabic
import fontpkg_noto_sans_thai
import noto_cjk_sans_jp_regular
import typst

_TEMPLATE = Path(__file__).parent / "templates" / "document.typ"


@cache
def _fonts() -> typst.Fonts:
    homes = (
        fontpkg_inter,
        fontpkg_noto_sans,
        fontpkg_noto_sans_arabic,
        fontpkg_noto_sans_thai,
        noto_cjk_sans_jp_regular,
    )
    paths = [Path(str(home.__file__)).parent for home in homes]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=paths)


@cache
def _template() -> bytes:
    return _TEMPLATE.read_bytes()


def pdf(sheet: Mapping[str, Any], *, issued: int) -> bytes:
    """The PDF of a sheet that was issued at that instant (seconds since 1970, UTC). Takes some 70 ms of a core.

    It is fit for archives (PDF/A-2b), unless it holds a letter that no font of ours has, which is drawn as a box.
    """
    try:
        return _compiled(sheet, issued, "a-2b")
    except typst.TypstError:
        return _compiled(sheet, issued, "1.7")


def _compiled(sheet: Mapping[str, Any], issued: int, standard: Literal["1.7", "a-2b"]) -> bytes:
    drawn = typst.compile(
        _template(),
        format="pdf",
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"sheet": json.dumps(sheet, ensure_ascii=False)},
        pdf_standards=standard,
        timestamp=issued,
    )
    assert isinstance(drawn, bytes), "a PDF is one file"
    return drawn
