# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document, held against the running application by schemathesis.

``GLANCE_SYNC_API_EXAMPLES=1000`` sends more than the usual number of requests.
"""

from collections import Counter
import os

import hypothesis
from hypothesis import HealthCheck
from schemathesis import checks
from schemathesis import openapi

from glance_sync_agent.api import operations
from tests.unit.api import test_application

#: For each operation.
EXAMPLES = int(os.environ.get("GLANCE_SYNC_API_EXAMPLES", "20"))
TOKEN = "secret"
ANSWERS: Counter[int] = Counter()


def confirmed(environ, start_response):
    """Answer as the application does behind a middleware that knows one token."""
    if environ.get("HTTP_X_AUTH_TOKEN") == TOKEN:
        environ |= {
            "HTTP_X_IDENTITY_STATUS": "Confirmed",
            "HTTP_X_ROLES": "admin",
            "HTTP_X_USER_NAME": "alice",
            "HTTP_X_USER_ID": "u1",
        }
    return STAGE.application(environ, start_response)


STAGE = test_application.Stage()
for _ in range(3):
    STAGE.publish()
STAGE.world.run()
schema = openapi.from_wsgi("/v1/openapi.json", confirmed)


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_answer_is_as_the_document_says(case):
    _send_what_is_unknown(case)
    answer = case.call_and_validate(
        headers={"X-Auth-Token": TOKEN},
        # No schema knows which regions there are.
        excluded_checks=[checks.positive_data_acceptance],
    )
    ANSWERS[answer.status_code] += 1


def _send_what_is_unknown(case):
    """Give unknown parameters of a query a text, because those without a value are not sent.

    The application would be right to accept what is left, but schemathesis would not know it.
    """
    known = {parameter.name for parameter in case.operation.query}
    for name, value in case.query.items():
        if name not in known and value in (None, [], {}):
            case.query[name] = "x"


def test_the_document_names_each_operation_once():
    found = [one.ok() for one in schema.get_all_operations()]  # type: ignore[union-attr]
    names = [one.definition.raw["operationId"] for one in found]
    assert sorted(names) == sorted(one.name for one in operations.ALL)
    assert len(set(names)) == len(names)
