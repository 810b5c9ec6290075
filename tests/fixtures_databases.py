# SPDX-License-Identifier: Apache-2.0
"""Real databases for tests of what keeps tasks; see ``tools/databases.py``."""

from collections.abc import Callable, Iterator
import contextlib
from typing import NoReturn

import pytest

from tools import databases


@pytest.fixture(scope="session")
def postgresql(missing_service: Callable[[str], NoReturn]) -> Iterator[str]:
    """Give the URL of a database of PostgreSQL's."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(databases.postgresql())
        except databases.NoServerError as exc:
            missing_service(f"no PostgreSQL: {exc}")
        yield url


@pytest.fixture(scope="session")
def mariadb(missing_service: Callable[[str], NoReturn]) -> Iterator[str]:
    """Give the URL of a database of MariaDB's."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(databases.mariadb())
        except databases.NoServerError as exc:
            missing_service(f"no MariaDB: {exc}")
        yield url
