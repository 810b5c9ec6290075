# SPDX-License-Identifier: Apache-2.0
"""What questions about one image take, and what they cost the transfers beside them.

The agent copies a big image to all regions by SSH, and serves the API in the same process, as
it does by default. In turn nobody asks, and a client sends ``GET /v1/images/{id}`` at a fixed
rate. It does not wait for answers, and each time is measured from the moment when the request
was due, in a connection of its own. ``cost`` is by how much the transfers last longer: the
median of the rounds with questions over that of the rounds without.

Then 8 clients ask as fast as they get answers, while the agent has nothing to do.

The agent asks the cascading Glance whether ``alice`` may see the image, but not for ``admin``.
"""

import argparse
from collections.abc import Iterator
from concurrent import futures
import contextlib
import dataclasses
from http import client as http_client
import io
import json
import multiprocessing
from multiprocessing import queues
from multiprocessing import synchronize
import pathlib
import re
import statistics
import sys
import tempfile
import time
from typing import Any, Final

from benchmarks import made_up
from benchmarks import whole_agent
from tools import agents
from tools import cloud as clouds

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 60.0
_THREADS: Final = 40  # of the client; two seconds of questions may wait for answers
_WITH_API: Final[agents.Options] = {"api": {"enabled": "true"}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked."""

    port: int
    image_id: str
    token: str

    def ask(self, connection: http_client.HTTPConnection) -> None:
        """Ask, and read the answer.

        :raises SystemExit: it is none.
        """
        headers = {"X-Auth-Token": self.token}
        connection.request("GET", f"/v1/images/{self.image_id}", headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"HTTP {answer.status}: {text.decode()}")

    def connection(self) -> http_client.HTTPConnection:
        """Return a connection that opens when it is used."""
        return http_client.HTTPConnection(_HOST, self.port, timeout=_SECONDS)


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cloud", default="bench", help="name of the cloud (%(default)s)")
    parser.add_argument("--mib", type=int, default=512, help="size in MiB (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (%(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="a second (%(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="that wait (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of these (%(default)s)")
    parser.add_argument("--user", default="alice", help="who asks (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON on one line")
    args = parser.parse_args()
    args.scenario = "three"
    machine = made_up.machine()
    with tempfile.TemporaryDirectory(dir=whole_agent.ROOT / ".cloud") as directory:
        bench = whole_agent.Bench(args, pathlib.Path(directory))
        with (
            bench.agent(ssh=True, options=_WITH_API) as agent,
            _published(bench.cloud, agent) as image_id,
        ):
            question = Question(
                port=_port(agent),
                image_id=image_id,
                token=str(bench.cloud.session(args.user).get_token()),
            )
            found = {**_rounds(bench, agent, question), "alone": _alone(question, args)}
    summary = {"machine": machine, "mib": args.mib, "user": args.user, **found}
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0


def _port(agent: agents.Agent) -> int:
    agent.wait_for_log("The API listens on")
    found = re.search(r"The API listens on [^:]+:(\d+)", agent.log.read_text())
    if found is None:
        raise SystemExit(f"no port in the log:\n{agent.tail()}")
    return int(found[1])


@contextlib.contextmanager
def _published(cloud: clouds.Cloud, agent: agents.Agent) -> Iterator[str]:
    """Publish the image that is asked about, and wait for its copies."""
    images = cloud.glance(user="alice").images
    image_id = str(
        images.create(name="asked", disk_format="raw", container_format="bare").id
    )
    images.upload(image_id, io.BytesIO(b"the bytes of an image"))
    regions = {region.name for region in cloud.describe().cascaded}
    agent.wait_until(
        lambda: regions <= {
            str(task.key.region)
            for task in agent.tasks()
            if task.key.image_id == image_id and task.status == "success"
        },
        "copies of the image that is asked about",
    )
    try:
        yield image_id
    finally:
        images.delete(image_id)


def _rounds(
    bench: whole_agent.Bench, agent: agents.Agent, question: Question
) -> dict[str, Any]:
    """Copy without questions and with, in turn."""
    quiet, asked, waits = [], [], []
    for _ in range(bench.args.rounds):
        quiet.append(bench.publish(agent)[0])
        with _asked(question, bench.args.rate) as answers:
            asked.append(bench.publish(agent)[0])
        waits += answers
        print(round(quiet[-1], 2), round(asked[-1], 2), _times(waits), file=sys.stderr)
    return {
        "seconds_without": [round(one, 2) for one in quiet],
        "seconds_with": [round(one, 2) for one in asked],
        "cost": round(statistics.median(asked) / statistics.median(quiet) - 1, 3),
        "beside_transfers": _times(waits),
    }


@contextlib.contextmanager
def _asked(question: Question, rate: float) -> Iterator[list[float]]:
    """Ask at a rate meanwhile; the list has the seconds of all answers afterwards."""
    context = multiprocessing.get_context("spawn")
    end, found = context.Event(), context.Queue()
    process = context.Process(target=_ask, args=(question, rate, end, found))
    process.start()
    answers: list[float] = []
    try:
        yield answers
    finally:
        end.set()
        answers += found.get(timeout=_SECONDS)
        process.join()


def _ask(
    question: Question,
    rate: float,
    end: synchronize.Event,
    found: "queues.Queue[list[float]]",
) -> None:
    """Be the client that does not wait for answers."""
    def once(due: float) -> float:
        with contextlib.closing(question.connection()) as connection:
            question.ask(connection)
        return time.monotonic() - due

    with futures.ThreadPoolExecutor(_THREADS) as pool:
        due, answers = time.monotonic(), []
        while not end.wait(max(due - time.monotonic(), 0.0)):
            answers.append(pool.submit(once, due))
            due += 1 / rate
        found.put([one.result() for one in answers])


def _alone(question: Question, args: argparse.Namespace) -> dict[str, Any]:
    """Ask with several clients, each of which waits for its answers."""
    end = time.monotonic() + args.seconds

    def client(_number: int) -> list[float]:
        waits = []
        with contextlib.closing(question.connection()) as connection:
            while (started := time.monotonic()) < end:
                question.ask(connection)
                waits.append(time.monotonic() - started)
        return waits

    with futures.ThreadPoolExecutor(args.clients) as pool:
        waits = [one for waits in pool.map(client, range(args.clients)) for one in waits]
    rate = round(len(waits) / args.seconds, 1)
    return {"clients": args.clients, "per_second": rate, **_times(waits)}


def _times(waits: list[float]) -> dict[str, float]:
    percent = statistics.quantiles(waits, n=100, method="inclusive")
    return {
        "answers": len(waits),
        "p50_ms": round(1000 * percent[49], 1),
        "p99_ms": round(1000 * percent[98], 1),
        "most_ms": round(1000 * max(waits), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
