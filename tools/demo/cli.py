# SPDX-License-Identifier: Apache-2.0
"""The demo as a program: signals, messages, exit status."""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import json
import os
import pathlib
import signal
import sys
import time
from types import FrameType

from glance_sync_agent import errors as sync_errors
from tools import agents
from tools import cloud as clouds
from tools.demo import errors
from tools.demo import hints
from tools.demo import options as command_line
from tools.demo import results
from tools.demo import screen
from tools.demo import stage
from tools.demo import story
from tools.demo import versions

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_DEBUG = "GLANCE_SYNC_DEBUG"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SENTENCES = (
    errors.DemoError,
    clouds.CloudError,
    agents.AgentError,
    sync_errors.SyncError,
    OSError,
)


def main(arguments: Sequence[str]) -> int:
    """Run the demo.

    :returns: the exit status: 0 only if every region held the right bytes and every change
        arrived; 1 if not; 128 + N when signal N ended it.
    """
    options = command_line.parse(arguments)
    show = screen.Screen(tables_to_stderr=options.json)
    summary = results.Summary(cloud=options.name)
    status = None
    try:
        with _reported_in_a_sentence(summary):
            _run(options, show, summary)
    except KeyboardInterrupt as exc:
        summary.failure = "ended early by a signal"
        status = exc.exit_status if isinstance(exc, errors.Interrupted) else 130
    if options.json:
        print(json.dumps(summary.as_dict(), indent=2), flush=True)
    if not summary.ok:
        print(f"error: {summary.failure}", file=sys.stderr)
    return status or (0 if summary.ok else 1)


def _run(options: argparse.Namespace, show: screen.Screen, summary: results.Summary) -> None:
    started = time.monotonic()
    cloud = clouds.Cloud(_ROOT, options.name, report=show.quote)
    plan = stage.Plan(keep=options.keep, attach=options.attach)
    with stage.Stage(cloud, plan, show) as where, _signals_end_it(show):
        with _reported_in_a_sentence(summary):
            _play(options, where, show, summary)
            summary.failure = None
        summary.seconds["total"] = time.monotonic() - started
        if summary.images:
            show.table_of_images(summary)
        if summary.changes:
            show.table_of_changes(summary)
        if not summary.ok and (tail := where.log_tail()):
            show.say(f"The end of the agent's log, {where.log}:")
            show.quote(tail)
        if options.keep:
            hints.show(where, show, _ROOT)


def _play(
    options: argparse.Namespace,
    where: stage.Stage,
    show: screen.Screen,
    summary: results.Summary,
) -> None:
    started = time.monotonic()
    description = where.start_cloud()
    summary.seconds["cloud"] = time.monotonic() - started
    summary.regions = [region.name for region in description.regions]
    summary.cascading_region = description.cascading_region
    summary.versions = versions.find(_ROOT)
    story.Story(
        where,
        show,
        summary,
        size_mib=options.size,
        timeout_seconds=options.timeout,
        keep=options.keep,
    ).tell()


@contextlib.contextmanager
def _reported_in_a_sentence(summary: results.Summary) -> Iterator[None]:
    """Turn an exception into the failure; with ``GLANCE_SYNC_DEBUG=1``, show a traceback."""
    try:
        yield
    except Exception as exc:
        if os.environ.get(_DEBUG):
            raise
        message = str(exc) or "without a message"
        if not isinstance(exc, _SENTENCES):
            message = f"unexpected {type(exc).__name__}: {message}; {_DEBUG}=1 shows a traceback"
        summary.failure = message


@contextlib.contextmanager
def _signals_end_it(show: screen.Screen) -> Iterator[None]:
    """Raise at the first signal; ignore all others, and those after the body.

    So the demo always stops its processes.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        ignore()
        raise errors.Interrupted(number)

    def ignore() -> None:
        for number in wanted:
            signal.signal(number, signal.SIG_IGN)

    # Keep signals ignored that are ignored already, as with nohup.
    wanted = [each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    for number in wanted:
        signal.signal(number, end)
    try:
        yield
    except errors.Interrupted as exc:
        show.say(f"Ended by {exc}; stopping everything")
        raise
    finally:
        ignore()
