# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document, made from the table of operations."""

from collections.abc import Iterator
import re
from typing import Any

from glance_sync_agent.api import job_schemas
from glance_sync_agent.api import operations
from glance_sync_agent.api import schemas
from glance_sync_agent.api.operation import Operation

_VARIABLES = {
    "image_id": schemas.IMAGE_ID, "job_id": schemas.JOB_ID, "region": schemas.REGION,
}
_ERRORS = {
    "400": "The request is wrong; the message says where.",
    "401": "The token is missing, wrong or expired.",
    "403": "The token may not do this.",
    "404": "There is no such thing, or the token may not see it.",
    "409": "The state of the image does not allow this; the message says why.",
    "503": "The database, Keystone or Glance does not answer.",
}


def document(version: str) -> dict[str, Any]:
    """Return the document.

    :param version: of the agent.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations.ALL:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "glance-sync-agent",
            "version": version,
            "summary": "Which image is in which region, and if not, why.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas.COMPONENTS, **job_schemas.COMPONENTS},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
            },
        },
        "security": [{"token": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {
            str(operation.status): _answer(operation.summary, operation.answer),
            **{status: _answer(text, "Error") for status, text in _ERRORS.items()},
        },
    }
    if operation.inputs.body is not None:
        schema = schemas.closed(operation.inputs.body, required=operation.inputs.required)
        described["requestBody"] = {
            "required": bool(operation.inputs.required),
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": _VARIABLES[name]}
    for name, schema in operation.inputs.query.items():
        yield {"name": name, "in": "query", "schema": schema}


def _answer(text: str, name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}
