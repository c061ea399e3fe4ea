"""A recorded session as a pytest file, which plays it again on the stage of testing.py and passes.

The rule: what is in the file was recorded; nothing is made up so that it passes. What a recording cannot show (a secret
on which an outcome depends, a text that was cut) is a comment, and the play goes on from the state that followed.
"""

from __future__ import annotations

import base64
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, time
from typing import Any

import msgspec

from realtime_project.publishing import Publish

from . import recordings
from .messages import ClientConnected, ClientDisconnected
from .models import Recording, Step
from .portable import NotReplayable, Plain, Writer, named
from .redaction import STAND_IN, Secrets
from .replay import OWN, UNKNOWN, Report, Verdict, is_heard, replay
from .rules import Rules

WIDTH = 110  # characters of a line
NAMED = {"Call": "function", "Write": "function"}  # effects that are called with a function and its arguments

LIBRARIES = {"django", "msgspec", "pytest"}
ELSEWHERE = {"realtime_project.publishing": "actors.effects"}  # where rules import it from

Tree = str | tuple[str, list[Any], str]  # a text, or an opening, what stands in it, and a closing


class Inexpressible(Exception):
    """No Python stands for this value."""


def export(recording: Recording, steps: Sequence[Step], rules: Rules, redact: Sequence[str] = ()) -> str:
    """The file's text. rules, redact: those of the endpoint."""
    return _File(recording, rules, replay(rules, steps, redact)).text()


class _File:
    def __init__(self, recording: Recording, rules: Rules, report: Report) -> None:
        self.recording, self.rules, self.report = recording, rules, report
        self.imports: dict[str, set[str]] = {"actors.testing": {"Place", "Play"}}
        self.taken: dict[str, str] = {"Place": "actors.testing", "Play": "actors.testing"}  # name → its module
        self._is_compared = True  # what is written is compared, and not only called
        self.inner = 0  # effects that the actor wanted of itself so far
        self.plain = Writer(OWN, Secrets())
        self.home = _home(rules)

    def text(self) -> str:
        body = list(self._body())
        recording = self.recording
        steps, otherwise = self.report.verdicts, len(self.report.of("otherwise"))
        number = f"{len(steps)} step{'' if len(steps) == 1 else 's'}"
        said = [
            f'"""{recording.endpoint}, recorded at {recording.begun_at:%Y-%m-%d %H:%M:%S} UTC: {number}.',
            "",
            "Exported from the flight recorder. Nothing is performed when this runs: effects are compared.",
        ]
        if otherwise:
            said.append(f"When it was exported, {otherwise} of the steps came out otherwise than they were recorded.")
        if unknown := len(self.report.of(UNKNOWN)):
            said.append(f"{unknown} of the steps cannot be played again: the comments say why.")
        imports = self._imports()
        return "\n".join(
            [
                *said, '"""', "", *imports, "",
                'IN, OUT = Place("in"), Place("out")', *self._rules_line(), "", "",
                f"def test_recorded_session_{re.sub(r'[^0-9a-zA-Z]', '_', recording.id[:8])}():", *body, "",
            ]
        )  # fmt: skip

    def _imports(self) -> list[str]:
        """In groups, as linters sort them: Python's own, libraries, the project's."""
        groups: list[list[str]] = [[], [], []]
        for module, names in sorted(self.imports.items()):
            top = module.partition(".")[0]
            group = 0 if top in sys.stdlib_module_names else 1 if top in LIBRARIES else 2
            sorted_names: list[Tree] = [*sorted(names, key=_import_order)]
            line = f"from {module} import {', '.join(map(_rendered_flat, sorted_names))}"
            if len(line) > WIDTH:
                line = _rendered((f"from {module} import (", sorted_names, ")"), 0, 0)
            groups[group].append(line if names else f"import {module}")
        lines = [line for group in groups if group for line in ["", *group]]
        return lines[1:]

    # the rules ------------------------------------------------------------------------------------------------
    def _rules(self) -> str:
        """The name of the table: where a module has it, that; else the endpoint's."""
        module, name = self.home
        if module:
            return self._import(module, name)
        return "rules"

    def _rules_line(self) -> list[str]:
        module, _ = self.home
        return [] if module else [f"rules = setups()[{_quoted(self.recording.endpoint)}].rules"]

    # the steps ------------------------------------------------------------------------------------------------
    def _body(self) -> Iterator[str]:
        module, _ = self.home
        if not module:
            self._import("actors.endpoints", "setups")
        begun = False
        verdicts = list(self.report.verdicts)
        for place, verdict in enumerate(verdicts):
            step = verdict.step
            if step.is_again and place and verdicts[place - 1].word != UNKNOWN:
                continue  # it was told with the step before
            again = []
            for following in verdicts[place + 1 :]:
                if not following.step.is_again:
                    break
                again.append(following)
            group = [verdict, *again]
            yield from (f"    # {_title(each)}" for each in group)
            unknown = next((each for each in group if each.word == UNKNOWN), None)
            last = group[-1].step
            try:
                if unknown or step.is_again:
                    raise NotReplayable(unknown.why if unknown else "it was told before")
                if not begun and step.kind != recordings.BEGIN:
                    yield from self._call(f"play = Play({self._rules()}, ", self._value(step.was), ", resumed=True)")
                    begun = True
                elif place and verdicts[place - 1].step.number + 1 != step.number:
                    yield "    # Steps are missing here."
                    yield from self._call("play.put(", self._value(step.was), ")")
                yield from self._step(step, group)
                begun = True
            except (NotReplayable, Inexpressible) as error:
                yield f"    # Not played: {_line(str(error))}"
                if place + len(group) < len(verdicts):
                    yield from self._resume(last, begun)
                    begun = begun or self._is_expressible(last.became)
        if begun and self.inner:
            yield f"    assert len(play.inner) == {self.inner}"
        if not begun:
            yield "    pass"

    def _is_expressible(self, text: str) -> bool:
        try:
            self._value(text)
        except (NotReplayable, Inexpressible):
            return False
        return True

    def _resume(self, step: Step, begun: bool) -> Iterator[str]:
        """Go on from the state that followed a step that cannot be played."""
        try:
            value = self._value(step.became)
        except (NotReplayable, Inexpressible):
            yield "    # ... and neither can the state that followed it be written here."
            return
        if begun:
            yield from self._call("play.put(", value, ")")
        else:
            yield from self._call(f"play = Play({self._rules()}, ", value, ", resumed=True)")

    def _step(self, step: Step, group: list[Verdict]) -> Iterator[str]:
        wanted = [effect for each in group for effect in msgspec.json.decode(each.step.effects)]
        inner = [effect for effect in wanted if _is_inner(effect)]
        outer = [effect for effect in wanted if not _is_inner(effect)]
        if step.kind == recordings.BEGIN:
            resumed = ", resumed=True" if msgspec.json.decode(step.told) == "resumed" else ""
            yield from self._call(f"play = Play({self._rules()}, ", self._value(step.was), f"{resumed})")
            if outer:
                yield from self._call("assert play.take() == ", self._effects(outer), "")
        elif is_heard(told := msgspec.json.decode(step.told)):
            if step.kind == recordings.FAILED:
                raise NotReplayable("a subscription's operation failed")
            self._is_compared = False
            try:
                op = self._tree(told["v"]["op"])
            finally:
                self._is_compared = True
            content = _rendered_flat(self._tree(told["v"]["content"]))
            yield from self._call("assert (", op, f"({content}) or []) == ", "", self._effects(wanted))
            return
        elif any(each.step.kind == recordings.FAILED for each in group):
            failed = next(each.step for each in group if each.step.kind == recordings.FAILED)
            self.imports.setdefault("pytest", set())
            yield f"    with pytest.raises(Exception) as raised:  # {_line(failed.error)[:60]}"
            yield from self._call("", self._told(step), "", indent=8)
            yield f"    assert type(raised.value).__name__ == {_quoted(failed.error.partition('(')[0])}"
        else:
            yield from self._call("assert ", self._told(step), "", " == ", self._effects(outer))
        if inner:
            self.inner += len(inner)
            yield from self._call(f"assert play.inner[-{len(inner)}:] == ", self._effects(inner), "")
        if step.kind == recordings.DROPPED:
            yield "    assert play.handled[-1].rule is None"
        last = group[-1].step
        try:
            yield from self._call("assert play.state == ", self._value(last.became), "")
        except (NotReplayable, Inexpressible):
            yield f"    assert type(play.state).__name__ == {_quoted(last.after)}"

    def _told(self, step: Step) -> Tree:
        plain = msgspec.json.decode(step.told)
        cls = named(plain["c"]) if isinstance(plain, dict) and plain.get("$") == "struct" else None
        if cls in (ClientConnected, ClientDisconnected):
            fields = {name: each for name, each in plain["v"].items() if name not in ("topic_in", "topic_out")}
            word = "connect" if cls is ClientConnected else "disconnect"
            return (f"play.{word}(", self._keywords(cls, fields), ")")
        return ("play.tell(", [self._tree(plain)], ")")

    # values ---------------------------------------------------------------------------------------------------
    def _value(self, text: str) -> Tree:
        return self._tree(msgspec.json.decode(text))

    def _effects(self, effects: list[Plain]) -> Tree:
        return ("[", [self._effect(each) for each in effects], "]")

    def _effect(self, plain: Plain) -> Tree:
        """An effect; ANYTHING where it, or a part that no other may stand for, cannot be written."""
        try:
            if isinstance(plain, dict) and plain.get("$") == "data":
                name, fields = plain["c"].rpartition(":")[2], plain["v"]
                if name in NAMED and set(fields) == {"function", "arguments"}:
                    parts = [fields["function"], *fields["arguments"].get("v", [])]
                    return (f"{self._name(plain['c'])}(", [self._or_anything(each) for each in parts], ")")
                if name == "Subscribe" and fields.get("op") is not None:
                    topic, op = self._tree(fields["topic"]), self._or_anything(fields["op"])
                    since = [] if fields.get("since") is None else [f"since={fields['since']!r}"]
                    return (f"{self._name(plain['c'])}(", [topic, op, *since], ")")
            return self._tree(plain)
        except (Inexpressible, NotReplayable):
            return self._import("actors.testing", "ANYTHING")

    def _or_anything(self, plain: Plain) -> Tree:
        try:
            return self._tree(plain)
        except (Inexpressible, NotReplayable):
            return self._import("actors.testing", "ANYTHING")

    def _tree(self, plain: Plain) -> Tree:
        if isinstance(plain, list):
            return ("[", [self._tree(each) for each in plain], "]")
        if not isinstance(plain, dict):
            return _quoted(plain) if isinstance(plain, str) else repr(plain)
        kind = plain.get("$")
        if kind is None:
            return ("{", [_joined(f"{_quoted(name)}: ", self._tree(each)) for name, each in plain.items()], "}")
        write: Callable[[Plain], Tree] | None = getattr(self, f"_write_{kind}", None)
        if write is None:
            raise Inexpressible(f"a {kind} value cannot be written as Python")
        return write(plain)

    def _write_struct(self, plain: Plain) -> Tree:
        cls = named(plain["c"])
        if not isinstance(cls, type):
            raise NotReplayable(f"the class {plain['c']} is no more")
        if getattr(cls, "__eq__", None) is object.__eq__:
            raise Inexpressible(f"a {cls.__name__} is equal to itself alone")
        return (f"{self._name(plain['c'])}(", self._keywords(cls, plain["v"]), ")")

    _write_data = _write_struct

    def _keywords(self, cls: type, fields: dict[str, Plain]) -> list[Tree]:
        """Arguments: those that are as by default are left out, and the first may stand without its name."""
        parameters = inspect.signature(cls).parameters
        defaults = _defaults(cls)
        written: list[Tree] = []
        for place, (name, each) in enumerate(fields.items()):
            parameter = parameters.get(name)
            if parameter is None:
                raise NotReplayable(f"today's {cls.__name__} has no {name}")
            if name in defaults and self.plain.plain(defaults[name]) == each:
                continue
            tree = self._tree(each)
            is_bare = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and (
                place == 0 or (cls is Publish and place == 1)
            )
            written.append(tree if is_bare else _joined(f"{name}=", tree))
        return written

    def _write_tuple(self, plain: Plain) -> Tree:
        items = [self._tree(each) for each in plain["v"]]
        return ("(", items, ",)" if len(items) == 1 else ")")

    def _write_set(self, plain: Plain) -> Tree:
        return ("{", [self._tree(each) for each in plain["v"]], "}") if plain["v"] else "set()"

    def _write_frozenset(self, plain: Plain) -> Tree:
        return ("frozenset([", [self._tree(each) for each in plain["v"]], "])")

    def _write_dict(self, plain: Plain) -> Tree:
        return ("dict([", [("(", [self._tree(name), self._tree(each)], ")") for name, each in plain["v"]], "])")

    def _write_bytes(self, plain: Plain) -> Tree:
        return repr(base64.b64decode(plain["v"]))

    def _write_int(self, plain: Plain) -> Tree:
        return str(plain["v"])

    def _write_float(self, plain: Plain) -> Tree:
        return f"float({plain['v']!r})"

    def _write_secret(self, plain: Plain) -> Tree:
        if not plain["v"] or plain["k"] == "bool":
            raise Inexpressible("it is secret")
        return repr(float(STAND_IN + plain["v"]) if plain["k"] == "float" else STAND_IN + plain["v"])

    def _write_enum(self, plain: Plain) -> Tree:
        return f"{self._name(plain['c'])}.{plain['v']}"

    def _write_made(self, plain: Plain) -> Tree:
        cls = named(plain["c"])
        arguments = [self._tree(each) for each in plain["v"]]
        method = ".fromisoformat" if isinstance(cls, type) and issubclass(cls, date | time) else ""
        return (f"{self._name(plain['c'])}{method}(", arguments, ")")

    def _write_partial(self, plain: Plain) -> Tree:
        if self._is_compared:
            raise Inexpressible("a partial function is equal to itself alone")
        words = [_joined(f"{name}=", self._tree(each)) for name, each in plain["k"].items()]
        arguments = [self._tree(plain["f"]), *(self._tree(each) for each in plain["v"]), *words]
        return (f"{self._import('functools', 'partial')}(", arguments, ")")

    def _write_name(self, plain: Plain) -> Tree:
        return self._name(plain["v"])

    def _write_out(self, plain: Plain) -> Tree:
        return "OUT"

    def _write_in(self, plain: Plain) -> Tree:
        return "IN"

    def _write_topic(self, plain: Plain) -> Tree:
        history = ", history=True" if plain["h"] else ""
        return f"{self._import('realtime_project.topics', 'Topic')}({_quoted(plain['v'])}{history})"

    def _write_user(self, plain: Plain) -> Tree:
        name = f", {_quoted(plain['name'])}" if plain["name"] else ""
        return f"{self._import('actors.testing', 'Someone')}({plain['pk']!r}{name})"

    def _write_query(self, plain: Plain) -> Tree:
        return f"{self._import('django.http', 'QueryDict')}({_quoted(plain['v'])})"

    # names ----------------------------------------------------------------------------------------------------
    def _name(self, name: str) -> str:
        module, _, path = name.partition(":")
        if named(name) is None:
            raise NotReplayable(f"{name} is no more")
        first, dot, rest = path.partition(".")
        return self._import(module, first) + dot + rest

    def _import(self, module: str, name: str) -> str:
        if module == "builtins":
            return name
        module = ELSEWHERE.get(module, module)
        used = name
        while self.taken.setdefault(used, module) != module:
            used += "_"
        self.imports.setdefault(module, set()).add(name if used == name else f"{name} as {used}")
        return used

    def _call(
        self, before: str, tree: Tree, after: str, middle: str = "", other: Tree = "", indent: int = 4
    ) -> list[str]:
        """A statement of one or two values, in as many lines as it needs."""
        pad = " " * indent
        one = f"{pad}{before}{_rendered_flat(tree)}{after}{middle}{_rendered_flat(other)}"
        if len(one) <= WIDTH:
            return [one]
        first = _rendered(tree, indent, len(before))
        second = _rendered(other, indent, len(middle)) if other else ""
        return f"{pad}{before}{first}{after}{middle}{second}".split("\n")


def _home(rules: Rules) -> tuple[str, str]:
    """The module that has these rules, and by what name; ("", "") where none has."""
    near = [getattr(rule.handler, "__module__", "") for rule in rules.rules[:1]]
    for module in [*near, *sorted(sys.modules)]:
        if module != "__main__":
            for name, each in list(vars(sys.modules.get(module, object())).items() if module in sys.modules else ()):
                if each is rules:
                    return module, name
    return "", ""


def _title(verdict: Verdict) -> str:
    step = verdict.step
    led = step.before if step.before == step.after else f"{step.before} → {step.after}"
    by = f", {step.rule}" if step.rule else ""
    again = " again" if step.is_again else ""
    return f"{step.at:%H:%M:%S.%f}"[:-3] + _line(f" {step.message}{again}: {led}{by}")


def _line(text: str) -> str:
    """One line, whatever a client or an exception has said: nothing gets out of a comment."""
    return re.sub(r"\s+", " ", text)[:300]


def _is_inner(plain: Plain) -> bool:
    kinds = {"Schedule", "Cancel", "StateTimeout", "EventTimeout", "Postpone"}
    module, _, name = plain["c"].partition(":") if isinstance(plain, dict) and "c" in plain else ("", "", "")
    return module == "actors.effects" and name in kinds


def _joined(before: str, tree: Tree) -> Tree:
    return before + tree if isinstance(tree, str) else (before + tree[0], tree[1], tree[2])


def _rendered_flat(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree
    return f"{tree[0]}{', '.join(map(_rendered_flat, tree[1]))}{tree[2]}"


def _rendered(tree: Tree, indent: int, before: int) -> str:
    """In one line where there is room, else a line for each part."""
    flat = _rendered_flat(tree)
    if isinstance(tree, str) or not tree[1] or indent + before + len(flat) <= WIDTH:
        return flat
    pad = " " * (indent + 4)
    parts = "".join(f"{pad}{_rendered(each, indent + 4, 0)},\n" for each in tree[1])
    return f"{tree[0]}\n{parts}{' ' * indent}{tree[2].lstrip(',')}"


def _quoted(text: str) -> str:
    """As formatters write it: in double quotes, where that needs no more backslashes."""
    written = repr(text)
    if written[0] == '"' or '"' in text:
        return written
    inside = written[1:-1].replace("\\'", "'")
    return f'"{inside}"'


def _defaults(cls: type) -> dict[str, Any]:
    """What a class's fields are when nothing is said."""
    if issubclass(cls, msgspec.Struct):
        found = {}
        for each in msgspec.structs.fields(cls):
            if each.default is not msgspec.NODEFAULT:
                found[each.name] = each.default
            elif each.default_factory is not msgspec.NODEFAULT:
                found[each.name] = each.default_factory()
        return found
    parameters = inspect.signature(cls).parameters.items()
    return {name: each.default for name, each in parameters if each.default is not each.empty}


def _import_order(name: str) -> tuple[int, str]:
    """As linters sort: CONSTANTS, Classes, functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name
