"""Who may see recordings and diagrams, what is on the record, and that nothing recorded gets out of its place."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from actors import recordings, watching
from actors.endpoints import setups
from actors.models import Recording, Step
from actors.portable import Writer
from actors.recordings import About, Batch, Row
from actors.redaction import Secrets
from actors.replay import OWN
from realtime_project.models import Connection, Server
from tests.helpers import unique

NAMES = "/ws/names/"
EVIL = "</code><script>alert(1)</script>"

pytestmark = pytest.mark.django_db


def staff(*permissions: str) -> Client:
    person: Any = get_user_model().objects.create_user(unique("staff"), is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")
    return client


def row(number: int, told: Any, *, kind: str = "dropped", message: str = "str", **columns: Any) -> Row:
    from actors.examples import Unnamed

    write = Writer(OWN, Secrets()).text
    state = write(Unnamed())
    defaults: dict[str, Any] = {
        "before": "Unnamed", "after": "Unnamed", "rule": "", "took": 0.0, "is_again": False, "is_redacted": False,
        "was": state, "became": state, "effects": "[]", "error": "",
    }  # fmt: skip
    at = timezone.now()
    return Row(number=number, at=at, kind=kind, message=message, told=write(told), **{**defaults, **columns})


def record(id: str, *rows: Row, endpoint: str = NAMES) -> Recording:
    about = About(id, endpoint, None, "here", None, timezone.now())
    recordings.write([Batch(about, rows or (row(0, "begun", kind="begin", message="begun"),), 1, 0, True)])
    return Recording.objects.get(pk=id)


PAGES = [
    "/admin/actors/recording/",
    "/admin/actors/recording/aaaa/change/",
    "/admin/actors/recording/aaaa/change/?replay=1",
    "/admin/actors/step/",
    "/admin/recordings/replay/?run=1",
]


@pytest.mark.parametrize("path", PAGES)
def test_recordings_are_seen_with_their_permission_alone(path: str) -> None:
    record("aaaa")
    assert staff("view_recording").get(path).status_code == 200
    for other in (staff(), staff("view_connection", "view_server", "delete_recording")):
        assert other.get(path).status_code == 403
    assert Client().get(path).status_code == 302


def test_export_needs_the_permission_and_a_post_and_is_on_the_record() -> None:
    record("aaaa", row(0, "begun", kind="begin", message="begun"), row(1, 42))
    path = "/admin/recordings/aaaa/export/"
    assert staff("view_connection").post(path).status_code == 403
    seer = staff("view_recording")
    assert seer.get(path).status_code == 405
    assert not LogEntry.objects.exists()
    answer = seer.post(path)
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == 'attachment; filename="test_recorded_ws_names_aaaa.py"'
    assert "play = Play(names, Unnamed())" in answer.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == ("aaaa", "Exported as a test.")
    assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    assert seer.post("/admin/recordings/nix/export/").status_code == 404


def test_what_was_recorded_is_text_wherever_it_is_shown() -> None:
    record("aaaa", row(0, EVIL, error=EVIL, kind="failed", before=EVIL[:100], rule=EVIL))
    seer = staff("view_recording")
    for path in [*PAGES, f"/admin/actors/step/?before={EVIL}"]:
        assert "<script>alert" not in seer.get(path).content.decode()
    text = seer.post("/admin/recordings/aaaa/export/").content.decode()
    compile(text, "exported", "exec")


def test_no_line_feed_of_a_client_gets_out_of_a_comment_of_the_exported_file() -> None:
    evil = 'x"""\n    import os; os.abort()\r    \u2028#'
    record("aaaa", row(0, evil, error=f"Error({evil})", kind="failed", before=evil, after=evil, rule=evil))
    text = staff("view_recording").post("/admin/recordings/aaaa/export/").content.decode()
    compiled = compile(text, "exported", "exec")
    assert "os" not in compiled.co_names
    assert not any(line.strip().startswith("import os") for line in text.splitlines())


def test_a_recording_is_deleted_with_its_steps_by_who_may() -> None:
    record("aaaa")
    path = "/admin/actors/recording/aaaa/delete/"
    assert staff("view_recording").post(path, {"post": "yes"}).status_code == 403
    remover = staff("view_recording", "delete_recording")
    assert "Delete…" in remover.get("/admin/actors/recording/aaaa/change/").content.decode()
    assert remover.get(path).status_code == 200
    assert remover.post(path, {"post": "yes"}).status_code == 302
    assert not Step.objects.exists()
    assert LogEntry.objects.filter(object_id="aaaa").exists()


def test_steps_are_filtered_by_endpoint_message_state_and_time() -> None:
    record("aaaa", row(0, "x"), row(1, 1, message="int", after="Named"))
    record("bbbb", row(0, b"", message="bytes"), endpoint="/ws/echo/")
    Step.objects.filter(message="int").update(at=timezone.now() - timedelta(days=2))
    seer = staff("view_recording")

    def found(query: str) -> set[str]:
        page = seer.get(f"/admin/actors/step/?{query}")
        return {step.message for step in page.context["cl"].result_list}

    assert found("") == {"str", "int", "bytes"}
    assert found("endpoint=/ws/echo/") == {"bytes"}
    assert found("message=str") == {"str"}
    assert found("after=Named") == {"int"}
    assert found("since=60") == {"str", "bytes"}
    assert found("since=nonsense") == {"str", "int", "bytes"}
    assert found("q=bbbb") == {"bytes"}
    assert found("kind=dropped&message=int") == {"int"}


def test_a_step_leads_to_its_place_in_the_recording() -> None:
    record("aaaa", *(row(number, "x") for number in range(250)))
    seer = staff("view_recording")
    step = Step.objects.get(number=180)
    answer = seer.get(f"/admin/actors/step/{step.pk}/change/")
    assert answer["Location"] == "/admin/actors/recording/aaaa/change/?step=180#step-180"
    page = seer.get(answer["Location"])
    assert page.context["page"].number == 2
    assert 'id="step-180"' in page.content.decode()
    for odd in ("?step=x", "?step=99999999999999999999", "?page=x", "?page=99"):
        assert seer.get(f"/admin/actors/recording/aaaa/change/{odd}", follow=True).status_code == 200
    assert seer.get("/admin/actors/step/0/change/").status_code == 302
    assert seer.get("/admin/actors/recording/nix/change/").status_code == 302


def test_lists_cost_no_more_queries_with_more_rows() -> None:
    seer = staff("view_recording")

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert seer.get(path).status_code == 200
        return len(asked)

    paths = ["/admin/actors/recording/", "/admin/actors/step/"]
    record("aaaa")
    few = [queries(path) for path in paths]
    for number in range(40):
        record(f"b{number}", *(row(each, "x") for each in range(5)))
    assert [queries(path) for path in paths] == few


def test_what_is_left_of_an_endpoint_that_is_gone_can_be_read_and_not_played() -> None:
    record("aaaa", row(0, "x"), endpoint="/ws/gone/")
    seer = staff("view_recording")
    text = seer.get("/admin/actors/recording/aaaa/change/?replay=1").content.decode()
    assert "Nothing is at this endpoint any more" in text
    assert "Export as a test" not in text
    assert seer.post("/admin/recordings/aaaa/export/").status_code == 302
    assert "1 of endpoints that are gone" in seer.get("/admin/recordings/replay/?run=1").content.decode()


def test_many_are_played_and_those_that_go_otherwise_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    record("same", row(0, "begun", kind="begin", message="begun"), row(1, 42, message="int"))
    record("other", row(0, "begun", kind="begin", message="begun"), row(1, b"now refused", message="bytes"))
    page = staff("view_recording").get("/admin/recordings/replay/?run=1&days=7")
    assert [(each["row"].pk, each["word"]) for each in page.context["rows"]] == [
        ("other", "otherwise"),
        ("same", "same"),
    ]
    assert "refuse_bytes fails" in page.content.decode() or "it fails: AssertionError" in page.content.decode()
    with pytest.raises(SystemExit):
        call_command("actors", "replay", NAMES)
    printed = capsys.readouterr().out
    assert "2 recordings: 1 the same, 1 otherwise, 0 that cannot be told in every step" in printed
    call_command("actors", "replay", "--recording", "sa", "--days", "1")
    assert "1 recording: 1 the same" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No recording begins with 'x'"):
        call_command("actors", "replay", "--recording", "x")
    call_command("actors", "recordings", NAMES)
    assert len(capsys.readouterr().out.splitlines()) == 2
    call_command("actors", "export", "same")
    assert "def test_recorded_session_same():" in capsys.readouterr().out


def test_forget_takes_recordings_too(capsys: pytest.CaptureFixture[str]) -> None:
    record("old")
    record("new")
    Recording.objects.filter(pk="old").update(last_at=timezone.now() - timedelta(days=8))
    call_command("forget", "7")
    assert "Deleted 1 recordings that ended 7 days ago or longer." in capsys.readouterr().out
    assert list(Recording.objects.values_list("pk", flat=True)) == ["new"]


# diagrams -------------------------------------------------------------------------------------------------------
def test_diagrams_are_seen_by_who_may_see_connections() -> None:
    viewer = staff("view_connection")
    page = viewer.get("/admin/diagrams/")
    assert page.context["path"] == next(iter(setups()))
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="state-diagram"' in page.content.decode()
    assert viewer.get("/admin/diagrams/?path=/ws/nix/").status_code == 404
    assert staff("view_recording").get("/admin/diagrams/").status_code == 403


def test_connections_are_counted_by_their_state_on_servers_that_are_alive() -> None:
    alive = Server.objects.create(id="a" * 32, pid=1, version="1", seen_at=Now())
    dead = Server.objects.create(id="d" * 32, pid=1, version="1", seen_at=timezone.now() - timedelta(hours=1))
    states = ["Named(name='x (y)')", "Named(name='z')", "Unnamed()", "'waiting (long)'", "<Step.ONE: 1>", None]
    for number, (server, state) in enumerate([*((alive, each) for each in states), (dead, "Named(name='gone')")]):
        Connection.objects.create(
            id=f"{number:032x}", server=server, channel_id=number, endpoint=NAMES, path=NAMES, mode="actor",
            client_ip="192.0.2.1", connected_at=timezone.now(), state=state,
        )  # fmt: skip
    found = {"Named": 2, "Unnamed": 1, "'waiting (long)'": 1, "<Step.ONE: 1>": 1}
    assert watching.counts(NAMES) == {"states": found, "total": 5}
    answer = staff("view_connection").get(f"/admin/diagrams/?path={NAMES}&now=1")
    assert json.loads(answer.content) == {"states": found, "total": 5}
