# SPDX-License-Identifier: Apache-2.0
"""The JSON schemas of answers about scans and verifications."""

from collections.abc import Mapping
from typing import Final

from glance_sync_agent.api import schemas
from glance_sync_agent.api.schemas import Schema
from glance_sync_agent.domain import jobs

_STRINGS: Final[Schema] = {"type": "array", "items": schemas.STRING}
_JOB_FIELDS: Final[Mapping[str, Schema]] = {
    "id": schemas.STRING,
    "state": {"type": "string", "enum": [one.value for one in jobs.JobState]},
    "dry_run": schemas.FLAG,
    "regions": _STRINGS,
    "asked_at": schemas.TIME,
    "asked_by": schemas.STRING,
    "started_at": schemas.OPTIONAL_TIME,
    "ended_at": schemas.OPTIONAL_TIME,
    "agent_id": schemas.OPTIONAL_STRING,
    # By what they count: images, findings, requested, and so on.
    "counts": {"type": "object", "additionalProperties": schemas.INTEGER},
    "notes": _STRINGS,
}
_FINDING_FIELDS: Final[Mapping[str, Schema]] = {
    "number": schemas.INTEGER,
    "image_id": schemas.STRING,
    "image_name": schemas.OPTIONAL_STRING,
    "region": schemas.STRING,
    "what": schemas.STRING,
    "why": schemas.STRING,
    "bytes": schemas.OPTIONAL_INTEGER,
}

#: What the answers are made of, by name.
COMPONENTS: Final[Mapping[str, Schema]] = {
    "Scan": schemas.answer({**_JOB_FIELDS, "allow_deletes": schemas.OPTIONAL_INTEGER}),
    "Scans": schemas.answer(
        {"scans": schemas.list_of("Scan"), "next": schemas.OPTIONAL_STRING}
    ),
    "Verification": schemas.answer(
        {**_JOB_FIELDS, "image_id": schemas.OPTIONAL_STRING, "replace_all": schemas.FLAG}
    ),
    "Verifications": schemas.answer(
        {
            "verifications": schemas.list_of("Verification"),
            "next": schemas.OPTIONAL_STRING,
        }
    ),
    "Findings": schemas.answer(
        {
            "findings": {"type": "array", "items": schemas.answer(_FINDING_FIELDS)},
            "next": schemas.OPTIONAL_STRING,
        }
    ),
}
