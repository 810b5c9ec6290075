# SPDX-License-Identifier: Apache-2.0
"""Actions in words, as scans, commands and logs show them."""

from collections.abc import Mapping
import dataclasses
import enum

from glance_sync_agent.domain import actions


class StepKind(enum.StrEnum):
    """Kinds of steps, as an operator reads them."""

    COPY = "copy"
    UPDATE = "update"
    STATUS = "status"  # deactivate or reactivate
    DELETE = "delete"
    VERIFY = "verify"  # read a copy back
    ADOPT = "adopt"  # a copy without a task
    NOTE = "note"  # only our own notes are wrong
    WAIT = "wait"
    REPORT = "report"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What an image needs in a region, in words."""

    what: StepKind
    why: str


_KINDS: Mapping[type[actions.Action], StepKind] = {
    actions.DeleteCopy: StepKind.DELETE,
    actions.ReadBack: StepKind.VERIFY,
    actions.Wait: StepKind.WAIT,
    actions.AwaitSource: StepKind.WAIT,
    actions.Conflict: StepKind.REPORT,
}


def step_of(action: actions.Action) -> Step | None:
    """Return the words for an action; None: it does nothing."""
    match action:
        case actions.CopyData(into=None):
            return Step(what=StepKind.COPY, why="there is no copy")
        case actions.CopyData():
            return Step(what=StepKind.COPY, why="the copy has no data")
        case actions.UpdateMetadata():
            return Step(what=StepKind.UPDATE, why=", ".join(_changed(action)))
        case actions.SetActive(active=active):
            status = "active" if active else "deactivated"
            return Step(what=StepKind.STATUS, why=f"source is {status}")
        case actions.Settled():
            return None
    return Step(what=_KINDS[type(action)], why=action.reason)


def _changed(action: actions.UpdateMetadata) -> list[str]:
    names = sorted([*action.attributes, *action.properties])
    names += ["tags"] if action.tags is not None else []
    return names + (["members"] if action.members else [])
