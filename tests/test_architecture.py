"""The plan of the house, held by reading imports and calls: which room may lead to which.

Every rule is a function from a checkout's root to the list of what breaks it, and is itself tested on a small
fabricated checkout: a rule that cannot fail holds nothing.
"""

import ast
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers import PROJECT

FOUNDATION = "realtime_project"
APPS = ("chat", "actors", "admin_panel")
HOUSE = (FOUNDATION, *APPS)
TOP_LEVEL = (*HOUSE, "tests", "benchmarks")
PURE = {
    FOUNDATION: ("hub", "feeds", "frames", "private", "publishing"),
    "actors": ("rules", "messages", "effects", "machine", "testing", "diagram", "addresses"),
}
FRAMEWORKS = ("django", "channels")
LAYER_METHODS = ("group_send", "group_add", "group_discard", "new_channel")
LAYER_METHODS_WITH_COMMON_NAMES = ("send", "receive")  # a layer's only where the object is called a layer
NAMES_THAT_SAY_NOTHING = ("utils", "util", "helpers", "helper", "common", "core", "misc", "manager")

Rule = Callable[[Path], list[str]]


# Reading --------------------------------------------------------------------------------------------------------


def files(root: Path, *packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((root / package).rglob("*.py"))


def module_name(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path, *packages: str) -> dict[str, ast.Module]:
    """Dotted name → syntax tree."""
    return {module_name(root, file): ast.parse(file.read_text(), str(file)) for file in files(root, *packages)}


def is_package(root: Path, name: str) -> bool:
    return (root / name.replace(".", "/") / "__init__.py").exists()


def imports(root: Path, name: str, tree: ast.Module) -> Iterator[str]:
    """The absolute dotted names that a module imports, wherever in it, type checking included."""
    package = name if is_package(root, name) else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def import_graph(root: Path, *packages: str) -> dict[str, set[str]]:
    """Module → the modules of these packages that it imports. `from .hub import Hub` leads to hub."""
    trees = modules(root, *packages)
    graph = {}
    for name, tree in trees.items():
        targets = (next((t for t in (i, i.rpartition(".")[0]) if t in trees), None) for i in imports(root, name, tree))
        graph[name] = {target for target in targets if target and target != name}
    return graph


# The rules ------------------------------------------------------------------------------------------------------


def apps_import_one_another(root: Path) -> list[str]:
    return [
        f"{name} imports {target}"
        for app in APPS
        for name, tree in modules(root, app).items()
        for target in imports(root, name, tree)
        if target.split(".")[0] in set(APPS) - {app}
    ]


def foundation_imports_an_app(root: Path) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, tree in modules(root, FOUNDATION).items()
        for target in imports(root, name, tree)
        if target.split(".")[0] in APPS
    ]


def house_imports_its_tests(root: Path) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, tree in modules(root, *HOUSE).items()
        for target in imports(root, name, tree)
        if target.split(".")[0] in ("tests", "benchmarks")
    ]


def files_import_in_circles(root: Path) -> list[str]:
    try:
        TopologicalSorter(import_graph(root, *HOUSE)).prepare()
    except CycleError as error:
        circle = error.args[1][:0:-1]  # closed, and told from the imported to the importing
        first = circle.index(min(circle))
        return [" → ".join([*circle[first:], *circle[:first], circle[first]])]
    return []


def layer_is_called_outside_the_hub(root: Path) -> list[str]:
    found = []
    for name, tree in modules(root, *HOUSE).items():
        if name == f"{FOUNDATION}.hub":
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            common = node.attr in LAYER_METHODS_WITH_COMMON_NAMES and owner.endswith("layer")
            if node.attr in LAYER_METHODS or common:
                found.append(f"{name}:{node.lineno} uses {node.attr}")
    return found


def layer_is_taken_outside_topics(root: Path) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, tree in modules(root, *HOUSE).items()
        for target in imports(root, name, tree)
        if target.startswith("channels.layers") and name != f"{FOUNDATION}.topics"
    ]


def pure_file_reaches_a_framework(root: Path) -> list[str]:
    """Not directly, and not through another file of the house."""
    trees, graph, found = modules(root, *HOUSE), import_graph(root, *HOUSE), []
    for start in (f"{package}.{name}" for package, names in PURE.items() for name in names):
        reached, waiting = {start}, [start]
        while waiting:
            reading = waiting.pop()
            fresh = graph.get(reading, set()) - reached
            reached |= fresh
            waiting += fresh
        for name in sorted(reached & trees.keys()):
            used = {target for target in imports(root, name, trees[name]) if target.split(".")[0] in FRAMEWORKS}
            found += [f"{start} reaches {target} in {name}" for target in sorted(used)]
    return found


def top_level_has_something_else(root: Path) -> list[str]:
    strange = [file.name for file in sorted(root.glob("*.py")) if file.name != "manage.py"]
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        environment = folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()
        if not environment and folder.name not in TOP_LEVEL and any(folder.glob("*.py")):
            strange.append(f"{folder.name}/")
    return strange


def file_has_a_name_that_says_nothing(root: Path) -> list[str]:
    return [
        str(file.relative_to(root))
        for file in files(root, *HOUSE)
        if {file.stem, *file.relative_to(root).parts[:-1]} & set(NAMES_THAT_SAY_NOTHING)
    ]


def file_opens_without_a_docstring(root: Path) -> list[str]:
    return [
        name
        for name, tree in modules(root, *TOP_LEVEL).items()
        if tree.body and not ast.get_docstring(tree) and ".migrations." not in name
    ]


RULES: list[Rule] = [
    apps_import_one_another,
    foundation_imports_an_app,
    house_imports_its_tests,
    files_import_in_circles,
    layer_is_called_outside_the_hub,
    layer_is_taken_outside_topics,
    pure_file_reaches_a_framework,
    top_level_has_something_else,
    file_has_a_name_that_says_nothing,
    file_opens_without_a_docstring,
]


# The house itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nowhere(rule: Rule) -> None:
    assert rule(PROJECT) == []


def test_the_house_is_really_read() -> None:
    assert {f"{FOUNDATION}.hub", "chat.consumers", "actors.models"} <= import_graph(PROJECT, *HOUSE).keys()
    assert f"{FOUNDATION}.feeds" in import_graph(PROJECT, *HOUSE)[f"{FOUNDATION}.hub"]


# The rules can fail ---------------------------------------------------------------------------------------------

SOUND = {
    "manage.py": '"""Django\'s command line."""',
    "realtime_project/__init__.py": "",
    "realtime_project/hub.py": '"""The hub."""\nfrom .feeds import Feed\nasync def ring(it): await it.group_send()',
    "realtime_project/feeds.py": '"""Feeds."""\nimport asyncio',
    "realtime_project/topics.py": '"""Topics."""\nfrom channels.layers import get_channel_layer\nfrom . import hub',
    "realtime_project/urls.py": '"""The roof."""\nfrom django.urls import include\ninclude("chat.urls")',
    "chat/__init__.py": "",
    "chat/urls.py": '"""URLs."""\nfrom realtime_project.topics import Topic',
    "chat/consumers.py": '"""Consumers."""\nclass C:\n    async def run(self, receive): await self.receive()',
    "chat/migrations/0001_initial.py": "from django.db import migrations",
    "actors/__init__.py": "",
    "actors/rules.py": '"""Rules."""\nfrom .effects import Publish',
    "actors/effects.py": '"""Effects."""',
    "tests/helpers.py": '"""Servers."""',
}


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., Path]:
    """A small sound house; each argument is a file (`__` for the slash) built differently, without its docstring."""

    def build(**changes: str) -> Path:
        changed = {f"{name.replace('__', '/')}.py": f'"""Changed."""\n{text}' for name, text in changes.items()}
        for name, text in (SOUND | changed).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return build


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_sound_house_passes(rule: Rule, house: Callable[..., Path]) -> None:
    assert rule(house()) == []


BREACHES: list[tuple[Rule, dict[str, str], str]] = [
    (apps_import_one_another, {"chat__rooms": "from actors import rules"}, "chat.rooms imports actors.rules"),
    (apps_import_one_another, {"actors__store": "def f():\n    import chat.rooms"}, "actors.store imports chat.rooms"),
    (foundation_imports_an_app, {"realtime_project__topics": "import chat"}, "realtime_project.topics imports chat"),
    (house_imports_its_tests, {"chat__rooms": "import tests.helpers"}, "chat.rooms imports tests.helpers"),
    (
        files_import_in_circles,
        {"realtime_project__feeds": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .hub import Hub"},
        "realtime_project.feeds → realtime_project.hub → realtime_project.feeds",
    ),
    (layer_is_called_outside_the_hub, {"chat__rooms": "layer.group_add()"}, "chat.rooms:2 uses group_add"),
    (
        layer_is_called_outside_the_hub,
        {"realtime_project__topics": "self.channel_layer.receive('x')"},
        "realtime_project.topics:2 uses receive",
    ),
    (
        layer_is_taken_outside_topics,
        {"chat__rooms": "from channels.layers import get_channel_layer"},
        "chat.rooms imports channels.layers.get_channel_layer",
    ),
    (
        pure_file_reaches_a_framework,
        {"realtime_project__feeds": "from django.db import models"},
        "realtime_project.feeds reaches django.db.models in realtime_project.feeds",
    ),
    (
        pure_file_reaches_a_framework,
        {"actors__effects": "from . import store", "actors__store": "import channels"},
        "actors.rules reaches channels in actors.store",
    ),
    (top_level_has_something_else, {"core__models": "", "core____init__": ""}, "core/"),
    (top_level_has_something_else, {"server": ""}, "server.py"),
    (file_has_a_name_that_says_nothing, {"chat__utils": ""}, "chat/utils.py"),
]


@pytest.mark.parametrize(("rule", "changes", "breach"), BREACHES)
def test_a_breach_is_found(rule: Rule, changes: dict[str, str], breach: str, house: Callable[..., Path]) -> None:
    assert breach in rule(house(**changes))


def test_a_file_without_a_docstring_is_found(house: Callable[..., Path]) -> None:
    root = house()
    (root / "chat" / "rooms.py").write_text("import json")
    assert file_opens_without_a_docstring(root) == ["chat.rooms"]


def test_each_rule_is_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BREACHES} | {file_opens_without_a_docstring} == set(RULES)
