"""What every load generator does: it is a process of its own, told what to measure and answering in JSON."""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Figures = dict[str, float]


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def processor_seconds(pids: Iterable[int]) -> float:
    """What processes have used so far (proc(5), stat: utime and stime)."""
    worked = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        worked += int(after_name[11]) + int(after_name[12])
    return worked / os.sysconf("SC_CLK_TCK")


def memory(pids: Iterable[int]) -> int:
    """Bytes that processes hold in memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * page


class Window:
    """The time that counts, from now on: what was done in it, and how busy generator and servers were."""

    def __init__(self, servers: Iterable[int]) -> None:
        self._servers = [pid for server in servers for pid in family(server)]
        self._served = processor_seconds(self._servers)
        self._began, self._worked = time.perf_counter(), time.process_time()
        self.idle = 0.0  # seconds that do not count

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._began

    @property
    def took(self) -> float:
        """Seconds that count."""
        return self.elapsed - self.idle

    def served(self) -> float:
        """Processor seconds of the servers."""
        return processor_seconds(self._servers) - self._served

    def result(self, things: int) -> Figures:
        """Things a second; the shares of a core that the generator and the servers had; processor seconds a thing."""
        took, served = self.took, self.served()
        return {
            "rate": things / took,
            "generator": (time.process_time() - self._worked) / took,
            "server": served / took,
            "cost": served / things if things else 0.0,
        }


def main(measure: Callable[..., Any]) -> None:
    """Runs `measure` with the JSON object that is the only argument; prints what it returns."""
    gc.disable()  # nothing here is cyclic, and a collection in the window would be measured
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
