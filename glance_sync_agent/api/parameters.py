# SPDX-License-Identifier: Apache-2.0
"""Checks what a request brings against the schemas of its operation."""

from collections.abc import Mapping
from typing import Any, Final

import falcon
from falcon import uri
import jsonschema

from glance_sync_agent.api import schemas
from glance_sync_agent.api.calls import Inputs

_DIGITS: Final = 19  # of the greatest integer that any parameter may have
_SHOWN: Final = 200
_IDS: Final = frozenset({"image_id", "job_id"})


def path(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables of a path, ids in lower case.

    :raises HTTPBadRequest: one is no id.
    """
    for name in _IDS & values.keys():
        _check(values[name], schemas.IMAGE_ID, name)
    return {name: text.lower() if name in _IDS else text for name, text in values.items()}


def query(text: str, inputs: Inputs) -> Mapping[str, Any]:
    """Return the parameters of a query string.

    :raises HTTPBadRequest: one is unknown, is given twice, or has a bad value.
    """
    found = uri.parse_query_string(text, keep_blank=True, csv=False)
    values: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, list):
            raise _bad(f"parameter {_shown(name)} is given {len(value)} times")
        schema = inputs.query.get(name, {})
        values[name] = _integer(value) if schema.get("type") == "integer" else value
    _check(values, schemas.closed(inputs.query), "the query")
    return values


def body(request: falcon.Request, inputs: Inputs) -> Mapping[str, Any]:
    """Return the object of a body; an empty body is an empty object.

    :raises HTTPBadRequest: it is no JSON, or a field is unknown, missing or bad.
    :raises HTTPUnsupportedMediaType: it has another type.
    """
    if inputs.body is None:
        return {}
    found = request.get_media(default_when_empty={})
    _check(found, schemas.closed(inputs.body, required=inputs.required), "the body")
    return dict(found)


def _integer(text: str) -> int | str:
    """Return an integer; a text that is none stays, and its schema refuses it."""
    digits = text.removeprefix("-")
    is_integer = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS
    return int(text) if is_integer else text


def _check(value: Any, schema: schemas.Schema, what: str) -> None:
    checker = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    failure = next(iter(checker.iter_errors(value)), None)
    if failure is None:
        return
    where = ".".join(map(str, failure.absolute_path)) or what
    raise _bad(f"{_shown(where)}: {_shown(failure.message)}")


def _shown(text: str) -> str:
    printable = "".join(one if one.isprintable() else "?" for one in text)
    return printable if len(printable) <= _SHOWN else f"{printable[:_SHOWN]}..."


def _bad(message: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(description=message)
