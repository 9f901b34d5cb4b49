"""What is written here speaks of the project and of nothing else, and leaves nothing for later."""

import re
from pathlib import Path

from meterline.config import Settings
from tests.house import source

TEXTS = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".html", ".txt", ".mako", ".js", ".mjs", ".css", ""}
LOCKED = {"uv.lock", "package-lock.json", "LICENSE"}
HOME = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/\w+")
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
LATER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


def _written() -> list[Path]:
    tracked = (path for path in source.tracked() if path.suffix in TEXTS and path.name not in LOCKED)
    return [path for path in tracked if path != Path(__file__)]


def _found(pattern: re.Pattern[str]) -> dict[str, list[str]]:
    texts = {str(path.relative_to(source.ROOT)): path.read_text() for path in _written()}
    return {name: found for name, text in texts.items() if (found := pattern.findall(text))}


def test_no_path_of_somebodys_machine() -> None:
    assert _found(HOME) == {}


def test_nothing_is_left_for_later() -> None:
    assert _found(LATER) == {}


def test_every_setting_is_documented_in_its_own_words() -> None:
    reference = (source.ROOT / "docs" / "reference" / "settings.md").read_text()
    for name, setting in Settings.model_fields.items():
        variable = "DATABASE_URL" if name == "database_url" else f"METERLINE_{name.upper()}"
        assert f"| `{variable}` |" in reference
        assert f"| {setting.description} |" in reference


def test_every_link_between_documents_leads_somewhere() -> None:
    pages = [path for path in source.tracked() if path.suffix == ".md"]
    dead = {
        f"{page.relative_to(source.ROOT)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    }
    assert dead == set()
