# SPDX-License-Identifier: Apache-2.0
"""Events as rows."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import history
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.tables import EVENTS


def insert(connection: sa.Connection, events: Sequence[history.Event]) -> None:
    """Insert events in the transaction of ``connection``."""
    if events:
        connection.execute(sa.insert(EVENTS), [_values(one) for one in events])


def _values(event: history.Event) -> dict[str, Any]:
    values = {
        field.name: getattr(event, field.name) for field in dataclasses.fields(history.Event)
    }
    return {
        **values,
        "kind": str(event.kind),
        "code": str(event.code),
        "by": texts.person_text(event.by),
        "text": texts.reason_text(event.text),
        "owner": event.owner and texts.person_text(event.owner),
        "proof": event.proof and texts.reason_text(event.proof),
    }


def recorded(row: sa.Row[Any]) -> history.Recorded:
    """Return a row of ``select(EVENTS)`` as an event."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's own public name
    number = values.pop("number")
    values["kind"], values["code"] = history.Kind(values["kind"]), Code(values["code"])
    return history.Recorded(number=number, event=history.Event(**values))
