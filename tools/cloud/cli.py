# SPDX-License-Identifier: Apache-2.0
"""The commands behind tools/cloud/up, down, wipe and status."""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import time

from tools.cloud import cloud as clouds
from tools.cloud import errors
from tools.cloud import services

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Run one command.

    :returns: the exit status: 0, or 1 if a service is down or an error happened.
    """
    options = _parser(arguments[:1]).parse_args(arguments)
    try:
        cloud = clouds.Cloud(_ROOT, options.name, report=_say)
        match options.command:
            case "up":
                return _up(cloud)
            case "down":
                return _down(cloud)
            case "wipe":
                return _wipe(cloud, everything=options.all)
            case _:
                return _status(cloud, as_json=options.json)
    except errors.CloudError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1


def _parser(command: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/cloud/" + "".join(command), usage="%(prog)s [options]"
    )
    parser.add_argument(
        "command", choices=["up", "down", "wipe", "status"], help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--name",
        default="default",
        help="name of the cloud; several can run at a time (default: default)",
    )
    match command:
        case ["up"]:
            parser.description = "Start the test cloud. The first time, install what it needs."
        case ["down"]:
            parser.description = "Stop every process of the test cloud. Its data stays."
        case ["wipe"]:
            parser.description = "Stop the test cloud and remove its data."
            parser.add_argument(
                "--all", action="store_true", help="all clouds, and their virtualenv as well"
            )
        case ["status"]:
            parser.description = "Ask every service of the test cloud; exit 1 if one is down."
            parser.add_argument("--json", action="store_true", help="print JSON")
        case _:
            pass
    return parser


def _up(cloud: clouds.Cloud) -> int:
    started = time.monotonic()
    description = cloud.up()
    seconds = time.monotonic() - started
    _say(f"The cloud {cloud.name!r} is up after {seconds:.1f} s: source {cloud.state_dir}/openrc")
    _say(f"Keystone {description.auth_url}; the rest is in {cloud.state_dir}/cloud.json")
    return 0


def _down(cloud: clouds.Cloud) -> int:
    if not cloud.down():
        _say(f"The cloud {cloud.name!r} was not running.")
    return 0


def _wipe(cloud: clouds.Cloud, *, everything: bool) -> int:
    cloud.wipe()
    _say(f"Removed the cloud {cloud.name!r}.")
    if everything:
        for path in (_ROOT / ".cloud").glob("*/cloud.json"):
            clouds.Cloud(_ROOT, path.parent.name, report=_say).wipe()
            _say(f"Removed the cloud {path.parent.name!r}.")
        shutil.rmtree(_ROOT / ".cloud", ignore_errors=True)
        _say("Removed the virtualenv of the clouds.")
    return 0


def _status(cloud: clouds.Cloud, *, as_json: bool) -> int:
    found = cloud.status()
    if as_json:
        rows = [{**dataclasses.asdict(one), "state": one.state.value} for one in found]
        print(json.dumps(rows, indent=2))
    else:
        print(f"{'SERVICE':<20} {'PID':>8}  {'ADDRESS':<16} STATE")
        for one in found:
            print(f"{one.name:<20} {one.pid or '-':>8}  {one.address:<16} {one.state.value}")
    return 0 if all(one.state is services.State.UP for one in found) else 1


def _say(line: str) -> None:
    print(f"==> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
