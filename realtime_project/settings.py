"""Environment → settings.

With nothing set this is a development server: DEBUG, SQLite, the in-memory channel layer. `DEBUG=0` is production
and must be told what cannot be guessed. A wrong value ends the process at start, with one line for each mistake.
"""

import ipaddress
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import environ
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy

from . import logs

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = BASE_DIR / "var"  # what a development server keeps: ignored by git

SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"

env = environ.Env()
mistakes: list[str] = []


T = TypeVar("T")


def read(name: str, cast: Callable[[str], T | None], default: T, wanted: str, valid: Callable[[T], bool]) -> T:
    """The variable `name`, or `default`; what is not `wanted` is a mistake."""
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        value = cast(text)
    except ValueError:
        value = None  # like any other wrong value
    if value is None or not valid(value):
        mistakes.append(f"{name} must be {wanted}, not {text!r}.")
        return default
    return value


def seconds(name: str, default: float) -> float:
    return read(name, float, default, "a number of seconds above zero", lambda value: 0 < value < float("inf"))


def count(name: str, default: int, least: int = 1) -> int:
    return read(name, int, default, f"a whole number, {least} or more", lambda value: value >= least)


def flag(name: str, default: bool) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return read(name, lambda text: words.get(text.lower()), default, "1 or 0", lambda _: True)


def database(name: str, file: Path) -> dict[str, Any]:
    """What a database's URL says, or that file. A wrong one may hold a password: it is not repeated."""
    default: dict[str, Any] = {"ENGINE": SQLITE, "NAME": str(file)}
    if not (url := os.environ.get(name)):
        return default
    with suppress(ValueError):
        if env.DB_SCHEMES.get(url.partition(":")[0]) in (SQLITE, POSTGRESQL):
            found: dict[str, Any] = env.db_url_config(url)
            if found["NAME"]:
                return found
    mistakes.append(f"{name} must be like sqlite:////path/to/file or postgres://user:password@host:5432/name.")
    return default


def networks(name: str, default: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """A comma-separated list of addresses and networks."""
    found = []
    for part in os.environ.get(name, default).split(","):
        try:
            found += [ipaddress.ip_network(part.strip())] if part.strip() else []
        except ValueError:
            mistakes.append(f"{name} must hold addresses and networks like 10.0.0.0/8, not {part.strip()!r}.")
    return found


def places(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network | str]:
    """A comma-separated list of addresses, networks and names of hosts."""
    found: list[ipaddress.IPv4Network | ipaddress.IPv6Network | str] = []
    for part in filter(None, map(str.strip, os.environ.get(name, "").split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            if re.fullmatch(r"(?=.*[a-z])[a-z0-9]([a-z0-9._-]*[a-z0-9])?", part.lower()):
                found.append(part)
            else:
                mistakes.append(f"{name} must hold networks like 10.0.0.0/8 and names of hosts, not {part!r}.")
    return found


def needed(name: str, example: str) -> list[str]:
    """A comma-separated list that production has to give."""
    values = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
    if not values and not DEBUG:
        mistakes.append(f"{name} must be set when DEBUG=0, for example {name}={example}")
    return values


def development_secret() -> str:
    """A key of this checkout's own, made once, in a file that only its owner can read."""
    path = STATE_DIR / "secret_key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(handle, "w") as file:
        file.write(key := secrets.token_urlsafe(50))
    return key


DEBUG = flag("DEBUG", True)
SECRET_KEY = os.environ.get("SECRET_KEY", "")
if DEBUG:
    STATE_DIR.mkdir(exist_ok=True)
    SECRET_KEY = SECRET_KEY or development_secret()
elif not SECRET_KEY:
    mistakes.append("SECRET_KEY must be set when DEBUG=0: a long random text that stays secret.")
ALLOWED_HOSTS = needed("ALLOWED_HOSTS", "chat.example.org")
ALLOWED_ORIGINS = needed("ALLOWED_ORIGINS", "https://chat.example.org")
mistakes += [
    f"ALLOWED_ORIGINS must hold origins like https://chat.example.org, without a path, not {origin!r}."
    for origin in ALLOWED_ORIGINS
    if not re.fullmatch(r"https?://[^/?#@\s]+", origin)
]
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS

# The demonstration endpoints let anybody broadcast: not in production unless asked for.
REALTIME_DEMOS = flag("REALTIME_DEMOS", DEBUG)

# What every connection gets -------------------------------------------------------------------------------------
WEBSOCKET_MAX_MESSAGE_SIZE = count("WEBSOCKET_MAX_MESSAGE_SIZE", 16 * 1024 * 1024)  # bytes
WEBSOCKET_MAX_BUFFER = count("WEBSOCKET_MAX_BUFFER", 1024 * 1024)  # bytes that wait for a slow reader
WEBSOCKET_MAX_QUEUE = count("WEBSOCKET_MAX_QUEUE", 64)  # messages that wait for a busy consumer
WEBSOCKET_IDLE_TIMEOUT = seconds("WEBSOCKET_IDLE_TIMEOUT", 60)  # without a byte from the client
WEBSOCKET_HANDSHAKE_TIMEOUT = seconds("WEBSOCKET_HANDSHAKE_TIMEOUT", 10)  # for a request to arrive
HTTP_MAX_BODY = count("HTTP_MAX_BODY", 10 * 1024 * 1024)  # bytes of the body of a request
WEBSOCKET_DRAIN = seconds("WEBSOCKET_DRAIN", 10)  # for saying goodbye after SIGTERM
WEBSOCKET_RATE = count("WEBSOCKET_RATE", 50, least=0)  # messages a second and user on ws/chat/; 0: no limit
WEBSOCKET_BURST = count("WEBSOCKET_BURST", 100)  # messages
DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = WEBSOCKET_MAX_MESSAGE_SIZE
SERVER_LEASE = seconds("SERVER_LEASE", 10)  # a server that has not reported for so long is gone
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")  # who shows it may read /metrics
METRICS_ALLOW = networks("METRICS_ALLOW", "127.0.0.1,::1" if DEBUG else "")  # ... and who comes from there
OUTBOUND_ALLOW = places("OUTBOUND_ALLOW")  # what outbound clients may connect to that is not of the internet
GUESTS_PER_ADDRESS = count("GUESTS_PER_ADDRESS", 30)  # new people an address may bring in an hour
SESSIONS_PER_ADDRESS = count("SESSIONS_PER_ADDRESS", 1_000)  # states that an address, or a user, may leave behind

# The house ------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "realtime_project",  # before daphne: its runserver is ours
    "daphne",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "channels",
    "chat",
    "actors",
    "admin_panel",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "realtime_project.inputs.without_nul",
    "realtime_project.policy.ContentPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "realtime_project.urls"
ASGI_APPLICATION = "realtime_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# Databases ------------------------------------------------------------------------------------------------------
DATABASES = {"default": database("DATABASE_URL", STATE_DIR / "db.sqlite3")}
URL_OPTIONS = DATABASES["default"].get("OPTIONS", {})  # such as sslmode
if DATABASES["default"]["ENGINE"] == SQLITE:
    # Writers queue for the lock instead of failing half-way; FULL, so that what was acknowledged survives power loss.
    DATABASES["default"] |= {
        "CONN_MAX_AGE": 0,  # under ASGI every request has a thread of its own: kept connections would pile up
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
        | URL_OPTIONS,
    }
else:
    # The pool owns the connections, so Django keeps none; one that a restart has broken is noticed before it is used.
    # A process that freezes in a transaction (a machine that is paused) does not keep its locks from the others, and a
    # database whose machine has vanished is noticed within seconds (the second of these is in milliseconds).
    DATABASES["default"] |= {
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "options": "-c idle_in_transaction_session_timeout=30s",
        }
        | URL_OPTIONS
        | {"pool": {"min_size": 1, "max_size": count("DATABASE_POOL", 20), "timeout": 5}},
    }
RECORDER_STEPS = count("RECORDER_STEPS", 100_000)  # of the flight recorder, all in all
RECORDER_SESSION = count("RECORDER_SESSION", 1_000)  # ... and of one connection
COMMIT_LIST = count("COMMIT_LIST", 256)  # writes a transaction at most
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = [part.strip() for part in os.environ.get("REDIS_URL", "").split(",") if part.strip()]
if wrong := [url for url in REDIS_URL if not url.startswith(("redis://", "rediss://", "unix://"))]:
    mistakes.append(f"REDIS_URL must hold URLs like redis://host:6379/0, not {wrong[0]!r}.")
if REDIS_URL:
    # A layer for each host: the hub shares the topics out among them.
    CHANNEL_LAYERS = {
        ("default" if number == 0 else f"redis-{number}"): {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [url]},
        }
        for number, url in enumerate(REDIS_URL)
    }
else:
    # Reaches this process alone. It drops a channel that is full and memberships that are old, both silently: so room
    # for bursts, and memberships that outlive any process.
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 100_000, "group_expiry": 10 * 365 * 86400},
        },
    }

# People ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "chat.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "guest"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
AXES_FAILURE_LIMIT = count("LOGIN_ATTEMPTS", 20)  # wrong passwords from an address, whatever the names, then a pause
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = ["ip_address"]  # by name too, and anybody could lock anybody out
AXES_RESET_ON_SUCCESS = False  # else who has one account could try the others' passwords for ever
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "chat.views.address_of"
AXES_LOCKOUT_CALLABLE = "chat.views.locked"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the pause ends, and what is tried meanwhile is not stored
AXES_DISABLE_ACCESS_LOG = True  # nobody reads it, and it would keep every visitor's address for ever

# The browser's guards -------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
# Unfold's pages have inline scripts and styles, and Alpine evaluates expressions. policy.py keeps this to /admin/.
ADMIN_CONTENT_SECURITY_POLICY = {
    "script-src": [SELF, UNSAFE_INLINE, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
}
# The chat's colours, for the admin: white text on 600, and 400 on a dark ground, keep 4.5 : 1.
SHADES = ("50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950")
TEAL = (
    "#f0fdfa", "#dcf3ef", "#99f6e4", "#5eead4", "#2dd4bf", "#14a89a",
    "#0f766e", "#0b5f59", "#115e59", "#134e4a", "#042f2e",
)  # fmt: skip
STONE = (
    "#fbfaf8", "#f3f1ed", "#e6e2db", "#d5cfc5", "#aaa398", "#736d64",
    "#57524b", "#413e39", "#2f2d29", "#1c1b18", "#11100e",
)  # fmt: skip
UNFOLD = {
    "SITE_TITLE": "Harbour",
    "SITE_HEADER": "Harbour",
    "SITE_URL": reverse_lazy("home"),
    "SITE_ICON": lambda request: static("chat/favicon.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("chat/favicon.svg")}],
    "SIDEBAR": {"navigation": "admin_panel.navigation.sidebar"},
    "COLORS": {"primary": dict(zip(SHADES, TEAL, strict=True)), "base": dict(zip(SHADES, STONE, strict=True))},
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "realtime_project.sessions"  # whose log-outs reach open sockets at once
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = flag("SECURE_COOKIES", not DEBUG)

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
SERVESTATIC_AUTOREFRESH = SERVESTATIC_USE_FINDERS = DEBUG  # in development, and in tests, which turn DEBUG off later
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
    }

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = logs.configuration(for_machines=not DEBUG)

if mistakes:
    raise SystemExit("\n".join(mistakes))
