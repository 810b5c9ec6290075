# SPDX-License-Identifier: Apache-2.0
"""Actions in words."""

from typing import Any

import pytest

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import steps
from glance_sync_agent.domain.codes import Code
from tests.unit import builders
from tests.unit.builders import copy
from tests.unit.builders import queued
from tests.unit.builders import source


def changed(**fields):
    nothing: dict[str, Any] = {"attributes": {}, "tags": None, "properties": {}, "members": {}}
    return actions.UpdateMetadata(copy=copy(), **{**nothing, **fields})


@pytest.mark.parametrize(
    ("action", "what", "why"),
    [
        (actions.CopyData(source=source(), into=None), "copy", "there is no copy"),
        (actions.CopyData(source=source(), into=queued()), "copy", "the copy has no data"),
        (changed(attributes={"name": "new"}), "update", "name"),
        (
            changed(attributes={"name": "new"}, properties={"os_type": None, "a": "b"}),
            "update",
            "a, name, os_type",
        ),
        (changed(tags=frozenset()), "update", "tags"),
        (changed(members={"beta": None}), "update", "members"),
        (
            changed(attributes={"owner": "x"}, tags=frozenset({"t"}), members={"beta": None}),
            "update",
            "owner, tags, members",
        ),
        (actions.SetActive(copy=copy(), active=True), "status", "source is active"),
        (actions.SetActive(copy=copy(), active=False), "status", "source is deactivated"),
        (actions.DeleteCopy(copy=copy(), reason="copy is killed"), "delete", "copy is killed"),
        (actions.Wait(code=Code.COPY_BUSY, reason="copy is saving"), "wait", "copy is saving"),
        (
            actions.ReadBack(
                copy=copy(),
                expected=builders.multihash(),
                reason="region hashes otherwise",
            ),
            "verify",
            "region hashes otherwise",
        ),
        (actions.AwaitSource(reason="snapshot is queued"), "wait", "snapshot is queued"),
        (actions.Conflict(reason="somebody else's"), "report", "somebody else's"),
    ],
)
def test_every_action_has_its_words(action, what, why):
    assert steps.step_of(action) == steps.Step(what=steps.StepKind(what), why=why)


def test_nothing_to_do_has_no_words():
    settled = actions.Settled(code=Code.NOT_COPYABLE, text="source is queued")
    assert steps.step_of(settled) is None
