"""Several servers that share one PostgreSQL database and one Redis, or several."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .processes import Server, environment, run
from .services import TEMPLATE, Postgres, Redis


def make_template(postgres: Postgres) -> None:
    """A migrated database with the demo rooms, that others are copied from."""
    postgres.sql(f"CREATE DATABASE {TEMPLATE}")
    told = environment(Path("unused"), DATABASE_URL=postgres.url(TEMPLATE))
    for command in (["migrate", "--verbosity", "0"], ["welcome"]):
        done = run(["manage.py", *command], told)
        assert done.returncode == 0, f"manage.py {command[0]}:\n{done.stdout}{done.stderr}"


class Cluster:
    """Servers on one database. `redis` may be killed and come back; its servers are told its URL once."""

    def __init__(
        self, folder: Path, postgres: Postgres, redis: Sequence[Redis], name: str, count: int, **settings: Any
    ):
        url = postgres.copy(name)
        self.postgres, self.redis = postgres, redis
        self.servers = []
        for number in range(count):
            mine = folder / f"{name}-{number}"
            shutil.rmtree(mine, ignore_errors=True)
            mine.mkdir(parents=True)
            shared = {"DATABASE_URL": url, "REDIS_URL": ",".join(each.url for each in redis)}
            self.servers.append(Server(mine, **(shared | settings)))

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def stop(self) -> None:
        for server in self.servers:
            if server.process:
                server.kill()
