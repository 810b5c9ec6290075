# SPDX-License-Identifier: Apache-2.0
"""The JSON schemas of parameters and answers."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.domain import history
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code

Schema = Mapping[str, Any]

_UUID: Final = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
#: No database takes a NUL or half of a surrogate pair.
_STORABLE: Final = r"^[^\x00\ud800-\udfff]+$"
STRING: Final[Schema] = {"type": "string"}
OPTIONAL_STRING: Final[Schema] = {"type": ["string", "null"]}
INTEGER: Final[Schema] = {"type": "integer", "minimum": 0}
OPTIONAL_INTEGER: Final[Schema] = {"type": ["integer", "null"]}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
OPTIONAL_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}

# Parameters.
IMAGE_ID: Final[Schema] = {"type": "string", "pattern": _UUID, "maxLength": 36}
JOB_ID: Final[Schema] = IMAGE_ID
REGION: Final[Schema] = {
    "type": "string", "pattern": _STORABLE, "minLength": 1, "maxLength": 255,
}
STATUS: Final[Schema] = {"type": "string", "enum": [one.value for one in tasks.TaskStatus]}
CODE: Final[Schema] = {"type": "string", "enum": [one.value for one in Code if one.value]}
KIND: Final[Schema] = {"type": "string", "enum": [one.value for one in history.Kind]}
NAME: Final[Schema] = REGION
LIMIT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 1000}
NUMBER: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
SORT: Final[Schema] = {"type": "string", "enum": ["id:asc", "id:desc"]}
SINCE: Final[Schema] = TIME
REGIONS: Final[Schema] = {
    "type": "array", "items": REGION, "minItems": 1, "maxItems": 1000, "uniqueItems": True,
}
REASON: Final[Schema] = {
    "type": "string", "pattern": _STORABLE, "minLength": 1, "maxLength": 2000,
}
FLAG: Final[Schema] = {"type": "boolean"}


def closed(properties: Mapping[str, Schema], *, required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def answer(properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object that has all of these fields and no others."""
    return closed(properties, required=tuple(properties))


def list_of(name: str) -> Schema:
    """Return the schema of a list of a component."""
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_TASK_FIELDS: Final[Mapping[str, Schema]] = {
    "image_id": STRING,
    "image_name": OPTIONAL_STRING,
    "region": STRING,
    "status": STATUS,
    "reason": STRING,
    "copy_id": OPTIONAL_STRING,
    "copied_from": OPTIONAL_STRING,
    "bytes_done": INTEGER,
    "bytes_total": OPTIONAL_INTEGER,
    "attempts": INTEGER,
    "not_before": TIME,
    "updated_at": TIME,
    "code": STRING,
    "asked_at": OPTIONAL_TIME,
    "done_at": OPTIONAL_TIME,
    "lag_seconds": OPTIONAL_INTEGER,
    "bytes_per_second": OPTIONAL_INTEGER,
    "eta_seconds": OPTIONAL_INTEGER,
}
_REGION_FIELDS: Final[Mapping[str, Schema]] = {
    "region": STRING,
    "state": {"type": "string", "enum": ["available", "slowed down", "unavailable", "paused"]},
    "paused_until": OPTIONAL_TIME,
    "pending": INTEGER,
    "processing": INTEGER,
    "success": INTEGER,
    "failure": INTEGER,
    "cancelled": INTEGER,
    "late": INTEGER,
    "waiting_bytes": INTEGER,
    "oldest_asked_at": OPTIONAL_TIME,
    "lag_seconds": INTEGER,
    "why": OPTIONAL_STRING,
}
_AGENT_FIELDS: Final[Mapping[str, Schema]] = {
    "agent_id": STRING,
    "host": STRING,
    "version": STRING,
    "state": {"type": "string", "enum": ["running", "waiting", "stopped", "gone"]},
    "running": INTEGER,
    "waits_for": OPTIONAL_STRING,
    "started_at": TIME,
    "seen_at": TIME,
    "heard_at": OPTIONAL_TIME,
    "scanned_at": OPTIONAL_TIME,
    "scanned_changes_at": OPTIONAL_TIME,
}
_EVENT_FIELDS: Final[Mapping[str, Schema]] = {
    "number": INTEGER,
    "at": TIME,
    "kind": KIND,
    "by": STRING,
    "image_id": OPTIONAL_STRING,
    "region": OPTIONAL_STRING,
    "code": OPTIONAL_STRING,
    "text": STRING,
    "bytes": OPTIONAL_INTEGER,
    "seconds": {"type": ["number", "null"]},
    "copy_id": OPTIONAL_STRING,
    "request_id": OPTIONAL_STRING,
    "owner": OPTIONAL_STRING,
    "hash": OPTIONAL_STRING,
    "proof": OPTIONAL_STRING,
}
_MARKED_FIELDS: Final[Mapping[str, Schema]] = {
    "image_id": STRING,
    "image_name": OPTIONAL_STRING,
    "region": STRING,
    "kind": STRING,
    "project": OPTIONAL_STRING,
    "bytes": OPTIONAL_INTEGER,
    "source": OPTIONAL_STRING,
    "reason": STRING,
}
_COUNTED_CODE: Final = answer({"code": STRING, "tasks": INTEGER})

#: What the answers are made of, by name.
COMPONENTS: Final[Mapping[str, Schema]] = {
    "Task": answer(_TASK_FIELDS),
    "Image": answer({"id": STRING, "name": OPTIONAL_STRING, "regions": list_of("Task")}),
    "Images": answer({"images": list_of("Image"), "next": OPTIONAL_STRING}),
    "Placement": answer(
        {
            "placement": {
                "type": "array",
                "items": answer(
                    {
                        "region": STRING,
                        "wanted": FLAG,
                        "decided_by": STRING,
                        "why": STRING,
                    }
                ),
            },
            "warnings": {"type": "array", "items": STRING},
        }
    ),
    "Requested": answer(
        {"image_id": STRING, "regions": {"type": "array", "items": STRING}}
    ),
    "Settled": answer(
        {
            "image_id": STRING,
            "region": STRING,
            "source_id": STRING,
            "source_region": STRING,
        }
    ),
    "Orphan": answer(_MARKED_FIELDS),
    "Orphans": answer(
        {"orphans": list_of("Orphan"), "warnings": {"type": "array", "items": STRING}}
    ),
    "Retried": answer({"tasks": INTEGER}),
    "Region": answer(_REGION_FIELDS),
    "Regions": answer({"counted_at": TIME, "regions": list_of("Region")}),
    "Agents": answer({"agents": {"type": "array", "items": answer(_AGENT_FIELDS)}}),
    "Events": answer(
        {
            "events": {"type": "array", "items": answer(_EVENT_FIELDS)},
            "next": OPTIONAL_STRING,
        }
    ),
    "Summary": answer(
        {
            "status": {"type": "string", "enum": ["ok", "warning", "critical"]},
            "problems": {
                "type": "array",
                "items": answer({"severity": STRING, "text": STRING}),
            },
            "counted_at": TIME,
            "regions": list_of("Region"),
            "failures": {"type": "array", "items": _COUNTED_CODE},
            "waiting": {"type": "array", "items": _COUNTED_CODE},
            "agents": {"type": "array", "items": answer(_AGENT_FIELDS)},
        }
    ),
    "Caller": answer(
        {
            "user_id": STRING,
            "user_name": STRING,
            "project_id": OPTIONAL_STRING,
            "system": FLAG,
            "roles": {"type": "array", "items": STRING},
            "rules": {"type": "array", "items": STRING},
        }
    ),
    "Versions": {"type": "object"},
    "Error": answer(
        {
            "error": closed(
                {
                    "code": {"type": "integer"},
                    "title": STRING,
                    "message": STRING,
                    "request_id": STRING,
                },
                required=("code", "title", "message"),
            )
        }
    ),
}
