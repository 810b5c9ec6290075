# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from collections.abc import Callable
import os
import pathlib
from typing import NoReturn

import hypothesis
from oslo_service import backend
import pytest

# As the daemon does it: before anything imports oslo.messaging, which otherwise
# settles on eventlet.
backend.init_backend(backend.BackendType.THREADING)

pytest_plugins = ["tests.fixtures_cloud", "tests.fixtures_databases"]

#: Seconds after which one test hangs, with its fixtures, by directory.
TIMEOUTS = {"contract": 300, "integration": 300, "functional": 900}

_HERE = pathlib.Path(__file__).parent
_MUTATION = "MUTANT_UNDER_TEST" in os.environ  # mutmut runs us

# A loaded machine is no reason to fail.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
# A mutant meets the same examples as the code it was made from, and the first that
# shows it is enough.
hypothesis.settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
hypothesis.settings.load_profile("mutation" if _MUTATION else "default")


def pytest_ignore_collect(collection_path: pathlib.Path) -> bool | None:
    """Let only the tests of a domain module judge its mutants: ``test_NAME[_...].py``."""
    if not _MUTATION or collection_path.suffix != ".py":
        return None
    domain = _HERE.parent / "glance_sync_agent" / "domain"
    words = collection_path.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:end]) for end in range(1, len(words) + 1)]
    return None if any((domain / f"{name}.py").exists() for name in names) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each step of the ladder its time; a test's own ``timeout`` mark goes first."""
    for item in items:
        step = item.path.relative_to(_HERE).parts[0]
        if step in TIMEOUTS and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUTS[step]))


@pytest.fixture(scope="session")
def missing_service() -> Callable[[str], NoReturn]:
    """Return what to call, with a sentence, when a service is not there.

    It skips the test on a laptop and fails it in CI, where nobody would notice the skip.
    """

    def missing(what: str) -> NoReturn:
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(f"{what} (a failure because CI is set)", pytrace=False)
        pytest.skip(what)

    return missing
