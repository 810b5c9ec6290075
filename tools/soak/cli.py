# SPDX-License-Identifier: Apache-2.0
"""The soak as a program: threads, signals, messages, exit status."""

from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
import pathlib
import secrets
import signal
import sys
import time
from types import FrameType

from tools import agents
from tools import cloud as clouds
from tools import databases
from tools.soak import faults
from tools.soak import judging
from tools.soak import operations
from tools.soak import operators
from tools.soak import options as command_line
from tools.soak import report
from tools.soak import stage as stages
from tools.soak import weights

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PROGRESS_SECONDS = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SENTENCES = (clouds.CloudError, agents.AgentError, databases.NoServerError)


def main(arguments: Sequence[str]) -> int:
    """Run the soak.

    :returns: the exit status: 0 only without violations; 1 after violations or an error; 128 + N
        if signal N ended it.
    """
    options = command_line.parse(arguments)
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    _say(f"seed {seed}, {options.minutes:g} minutes")
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    summary = report.Summary(seed=seed, minutes=options.minutes)
    try:
        with stages.built(clouds.Cloud(_ROOT, options.name)) as stage:
            _say(f"All events are in {stage.events.path}")
            try:
                _run(stage, summary, options.converge)
            finally:
                summary.minutes = min(summary.minutes, stage.events.seconds / 60)
                print("\n".join(report.lines(summary, stage.events)), flush=True)
    except _SENTENCES as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as exc:
        print("error: ended early by a signal", file=sys.stderr)
        return 128 + int(exc.args[0])
    return 1 if stage.events.violations else 0


def _run(stage: stages.Stage, summary: report.Summary, converge_seconds: float) -> None:
    judge = judging.Judge(stage)
    stage.begin()
    judge.prepare()
    lanes: Mapping[str, Callable[[int], None]] = {
        **{user: operations.User(stage, user).work for user in weights.USERS},
        **{lane: faults.Lane(stage, lane).work for lane in weights.FAULTS},
        **{lane: operators.Operator(stage, lane).work for lane in weights.OPERATORS},
        "judge": judge.watch,
    }
    with futures.ThreadPoolExecutor(len(lanes)) as pool:
        try:
            running = [pool.submit(work, summary.seed) for work in lanes.values()]
            _wait(stage, running, summary.minutes * 60)
        finally:
            stage.over.set()
        for one in running:
            one.result()
        # The database ends with the thread that started it, so all threads must live on.
        _end(stage, judge, summary, converge_seconds)


def _end(
    stage: stages.Stage, judge: judging.Judge, summary: report.Summary, converge_seconds: float
) -> None:
    """Judge the state after the last fault."""
    _say("The faults have ended")
    ended = time.monotonic()
    stage.restart_agents()
    operators.Operator(stage, "operator").finish()
    judge.settle()
    summary.converged_seconds = judge.converge(ended, converge_seconds)
    summary.foreign = judge.check_foreign()
    summary.theirs, summary.touched = judge.check_theirs()
    summary.left = len([path for path in stage.left if path.exists()])
    stage.end()


def _wait(stage: stages.Stage, running: Sequence[futures.Future[None]], seconds: float) -> None:
    """Wait until the time is over, or a lane ended with an exception."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        done, _ = futures.wait(
            running, min(left, _PROGRESS_SECONDS), return_when=futures.FIRST_COMPLETED
        )
        if done:
            return
        stage.restart_agents()
        _say(report.progress(stage.events, len(stage.images)))


def _interrupt(number: int, _frame: FrameType | None) -> None:
    for ignored in _SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)  # always stop the processes
    raise KeyboardInterrupt(number)


def _say(sentence: str) -> None:
    print(f"==> {sentence}", flush=True)
