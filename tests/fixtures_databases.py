# SPDX-License-Identifier: Apache-2.0
"""Real databases for tests of what keeps tasks; see ``tools/databases.py``."""

from collections.abc import Callable, Iterator
import contextlib
from typing import NoReturn

import pytest

from tools import databases
from tools import galera as galera_nodes


@pytest.fixture(scope="session")
def postgresql_server(
    missing_service: Callable[[str], NoReturn],
) -> Iterator[databases.Server]:
    """Give a server of PostgreSQL's."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(databases.postgresql())
        except databases.NoServerError as exc:
            missing_service(f"no PostgreSQL: {exc}")
        yield server


@pytest.fixture(scope="session")
def mariadb_server(missing_service: Callable[[str], NoReturn]) -> Iterator[databases.Server]:
    """Give a server of MariaDB's."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(databases.mariadb())
        except databases.NoServerError as exc:
            missing_service(f"no MariaDB: {exc}")
        yield server


@pytest.fixture(scope="session")
def postgresql(postgresql_server: databases.Server) -> str:
    """Give the URL of a database of PostgreSQL's."""
    return postgresql_server.url


@pytest.fixture(scope="session")
def mariadb(mariadb_server: databases.Server) -> str:
    """Give the URL of a database of MariaDB's."""
    return mariadb_server.url


@pytest.fixture(scope="session")
def galera(missing_service: Callable[[str], NoReturn]) -> Iterator[tuple[str, str]]:
    """Give the URLs of one database, that of each of its two nodes."""
    with contextlib.ExitStack() as stack:
        try:
            first, second = stack.enter_context(galera_nodes.nodes())
        except databases.NoServerError as exc:
            missing_service(f"no Galera: {exc}")
        yield first.url, second.url
