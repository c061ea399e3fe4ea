"""The documents are true: their examples run, their settings exist, their links lead somewhere."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?:\]\(|src=\"|srcset=\")([^)\"#]+)")


def name(document: Path) -> str:
    return document.name


def examples(page: Path) -> str:
    """All of a page's examples as one module, each at the line where it stands."""
    text = page.read_text()
    lines = [""] * (text.count("\n") + 1)
    for match in EXAMPLE.finditer(text):
        first = text[: match.start(1)].count("\n")
        for number, line in enumerate(match.group(1).splitlines()):
            lines[first + number] = line
    return "\n".join(lines)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("fresh_hub")
@pytest.mark.parametrize("document", [page for page in PAGES if EXAMPLE.search(page.read_text())], ids=name)
async def test_every_example_runs(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # an example may query as a script would
    code = compile(examples(document), document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"__name__": document.stem}
    running = eval(code, names)
    if inspect.iscoroutine(running):
        await running


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    source = (PROJECT / "realtime_project" / "settings.py").read_text()
    calls = re.findall(r"(?:flag|count|seconds|needed|networks|places|database|environ\.get)\(\s*\"([A-Z_]+)\"", source)
    documented = re.findall(r"^\| `([A-Z_]+)` \|", (PROJECT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert sorted(set(calls)) == sorted(documented)


@pytest.mark.parametrize("document", PAGES, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target
