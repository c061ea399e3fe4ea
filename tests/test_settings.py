"""A server that is set up wrongly says so in one line for each mistake, and does not start."""

import os
import shutil
import stat
from ast import literal_eval
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tests.helpers import PROJECT, run

SETTINGS = "import realtime_project.settings as settings; print(settings.DEBUG, settings.SECRET_KEY)"
NUMBERS = sorted(
    line.split('"')[1]
    for line in (PROJECT / "realtime_project" / "settings.py").read_text().splitlines()
    if "= count(" in line or "= seconds(" in line
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The settings in a checkout of their own, so that the secret key is made there."""
    tree = tmp_path / "checkout"
    shutil.copytree(
        PROJECT / "realtime_project", tree / "realtime_project", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tree


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"} | settings


def test_nothing_set_is_a_development_server(tree: Path) -> None:
    started = run(["-c", SETTINGS], environment(), cwd=tree)
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("True ")


def test_the_secret_key_is_made_once_and_only_its_owner_reads_it(tree: Path) -> None:
    first, second = (run(["-c", SETTINGS], environment(), cwd=tree).stdout for _ in range(2))
    assert first == second
    assert len(first.split()[1]) >= 50
    key = tree / "var" / "secret_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text() == first.split()[1]


def test_production_says_what_it_must_be_told(tree: Path) -> None:
    refused = run(["-c", SETTINGS], environment(DEBUG="0"), cwd=tree)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    lines = refused.stderr.strip().splitlines()
    for name in ("SECRET_KEY", "ALLOWED_HOSTS", "ALLOWED_ORIGINS"):
        assert [line for line in lines if line.startswith(f"{name} must be set when DEBUG=0")], refused.stderr
    assert len(lines) == 3
    assert not (tree / "var").exists(), "production keeps nothing in the checkout"


def test_production_starts_when_told(tree: Path) -> None:
    told = environment(
        DEBUG="0", SECRET_KEY="s" * 50, ALLOWED_HOSTS="chat.example.org", ALLOWED_ORIGINS="https://chat.example.org"
    )
    started = run(["-c", SETTINGS], told, cwd=tree)
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("False ")


WRONG = pytest.mark.parametrize("value", ["-1", "many", "nan", "1e999"])


def read_settings() -> None:
    """In this process, as a module of another name."""
    spec = spec_from_file_location("realtime_project.read_again", PROJECT / "realtime_project" / "settings.py")
    assert spec and spec.loader
    spec.loader.exec_module(module_from_spec(spec))


@WRONG
@pytest.mark.parametrize("name", NUMBERS)
def test_h48_a_wrong_number_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        read_settings()
    [line] = str(refused.value.code).splitlines()
    assert line.startswith(f"{name} must be a ")
    assert repr(value) in line


@WRONG
def test_h48_every_wrong_number_keeps_a_process_from_starting(tree: Path, value: str) -> None:
    refused = run(["-c", SETTINGS], environment(**dict.fromkeys(NUMBERS, value)), cwd=tree)
    assert refused.returncode != 0
    assert sorted(line.split()[0] for line in refused.stderr.strip().splitlines()) == NUMBERS


@pytest.mark.parametrize(
    "url",
    ["nonsense", "postgre://me:s3cret@h/db", "mysql://me:s3cret@h/db", "postgres://me:s3cret@h:x/db", "postgres://"],
)
def test_h48_a_wrong_database_is_one_clear_line_without_its_password(tree: Path, url: str) -> None:
    refused = run(["-c", SETTINGS], environment(DATABASE_URL=url), cwd=tree)
    assert refused.returncode != 0
    [line] = refused.stderr.strip().splitlines()
    assert line == "DATABASE_URL must be like sqlite:////path/to/file or postgres://user:password@host:5432/name."


def test_what_a_databases_url_asks_for_is_done(tree: Path) -> None:
    """Above all sslmode: whoever asks for it does not want to go without."""
    told = environment(
        DATABASE_URL="postgres://me:s3cret@h/db?sslmode=verify-full&connect_timeout=9", DATABASE_POOL="3"
    )
    options = "from realtime_project.settings import DATABASES; print(DATABASES['default']['OPTIONS'])"
    assert literal_eval(run(["-c", options], told, cwd=tree).stdout) == {
        "connect_timeout": 9,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "options": "-c idle_in_transaction_session_timeout=30s",
        "pool": {"min_size": 1, "max_size": 3, "timeout": 5},
        "sslmode": "verify-full",
    }
    told = environment(DATABASE_URL="sqlite:////tmp/chat.sqlite3?timeout=9")
    found = literal_eval(run(["-c", options], told, cwd=tree).stdout)
    assert (found["timeout"], found["transaction_mode"]) == (9, "IMMEDIATE")


@pytest.mark.parametrize(
    "origin", ["chat.example.org", "https://chat.example.org/", "https://a@b", "wss://chat.example.org"]
)
def test_h48_a_wrong_origin_is_one_clear_line(tree: Path, origin: str) -> None:
    refused = run(["-c", SETTINGS], environment(ALLOWED_ORIGINS=origin), cwd=tree)
    [line] = refused.stderr.strip().splitlines()
    assert line == f"ALLOWED_ORIGINS must hold origins like https://chat.example.org, without a path, not {origin!r}."


def test_h48_several_mistakes_are_a_line_each(tree: Path) -> None:
    wrong = environment(WEBSOCKET_MAX_MESSAGE_SIZE="0", SERVER_LEASE="0", DEBUG="perhaps")
    lines = run(["-c", SETTINGS], wrong, cwd=tree).stderr.strip().splitlines()
    assert sorted(line.split()[0] for line in lines) == ["DEBUG", "SERVER_LEASE", "WEBSOCKET_MAX_MESSAGE_SIZE"]


@pytest.mark.parametrize("network", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "*"])
def test_h48_a_wrong_network_is_one_clear_line(tree: Path, network: str) -> None:
    refused = run(["-c", SETTINGS], environment(METRICS_ALLOW=f"::1, {network}"), cwd=tree)
    [line] = refused.stderr.strip().splitlines()
    assert line == f"METRICS_ALLOW must hold addresses and networks like 10.0.0.0/8, not {network!r}."
