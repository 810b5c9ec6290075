# SPDX-License-Identifier: Apache-2.0
"""Changes that an operator makes to copies, and damage of their data at rest."""

from collections.abc import Callable, Mapping
import os
from typing import Any

from tests import marks
from tools.soak import plans
from tools.soak import stage as stages


class Hands:
    """An operator with all permissions in every region."""

    def __init__(self, stage: stages.Stage) -> None:
        self._stage = stage
        self._people = stage.visitor()

    @property
    def breaking(self) -> Mapping[str, Callable[[plans.Fault], str | None]]:
        """The function for each kind of fault; it returns the outcome."""
        return {
            "copy deleted": self._delete,
            "copy changed": self._change,
            "copy deactivated": self._deactivate,
            "copy damaged": self._damage,
        }

    def _delete(self, one: plans.Fault) -> str:
        copy = self._copy(one)
        if copy is None:
            return "skipped (no copy)"
        client = self._people.client(one.region, "admin")
        if copy["protected"]:
            client.images.update(copy["id"], protected=False)
        client.images.delete(copy["id"])
        return f"done {_described(copy)}"

    def _change(self, one: plans.Fault) -> str:
        copy = self._copy(one)
        if copy is None:
            return "skipped (no copy)"
        self._people.client(one.region, "admin").images.update(
            copy["id"], name=one.value, tags=["by hand"], min_disk=9, visibility="public",
            hw_disk_bus="by hand", protected=False, os_hidden=True,
        )
        return f"done {_described(copy)}"

    def _deactivate(self, one: plans.Fault) -> str:
        copy = self._copy(one)
        if copy is None:
            return "skipped (no copy)"
        self._stage.held.add((one.region, copy["id"]))
        self._people.client(one.region, "admin").images.deactivate(copy["id"])
        return f"done {_described(copy)}"

    def _damage(self, one: plans.Fault) -> str:
        copy = self._copy(one)
        if copy is None or not copy["size"]:
            return "skipped (no copy with data)"
        source_id = copy[marks.SOURCE_ID]
        self._stage.damaged[one.region, copy["id"]] = source_id
        try:
            with self._stage.file(one.region, copy["id"]).open("r+b") as file:
                file.seek(int(one.pick * copy["size"]))
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))
        except FileNotFoundError:
            return "skipped (deleted at the same time)"
        return f"done {_described(copy)} verify: {self._stage.verify(source_id)}"

    def _copy(self, one: plans.Fault) -> Mapping[str, Any] | None:
        copies = sorted(
            (
                record
                for record in self._people.listed(one.region)
                if marks.source_of(record, one.region) is not None
                and (one.region, record["id"]) not in self._stage.forged
                and record["status"] == "active"
            ),
            key=lambda record: str(record[marks.SOURCE_ID]),
        )
        return copies[int(one.pick * len(copies))] if copies else None


def _described(copy: Mapping[str, Any]) -> str:
    return f"{copy['id']} of {copy[marks.SOURCE_ID]}"
