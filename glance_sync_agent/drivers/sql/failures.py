# SPDX-License-Identifier: Apache-2.0
"""What the error of a database means."""

from sqlalchemy import exc as sa_exc

# SQLSTATEs of PostgreSQL and error numbers of MariaDB for a deadlock or a failed serialization.
# The transaction is rolled back. With Galera, the loser learns that at COMMIT.
_ROLLED_BACK = frozenset({"40001", "40P01", 1213, 1020})
_NOT_PRIMARY = 1047  # a node of Galera that is cut off from the others, or still catching up
_LOCK_WAIT_TIMEOUT = 1205
_PASSING = _ROLLED_BACK | {_LOCK_WAIT_TIMEOUT, _NOT_PRIMARY}
_NOT_PERMITTED = "42501"  # SQLSTATE of PostgreSQL for a missing GRANT
_UNKNOWN_COLUMN = 1054  # MariaDB calls it an OperationalError


def passes(exc: BaseException) -> bool:
    """Return whether another transaction got in the way, or this node takes none now."""
    if not isinstance(exc, sa_exc.DBAPIError):
        return False
    # Another transaction inserted the row first, so the next try updates it.
    return isinstance(exc, sa_exc.IntegrityError) or not _PASSING.isdisjoint(_codes(exc))


def is_rolled_back(exc: sa_exc.DBAPIError) -> bool:
    """Return whether the database says that it rolled the transaction back."""
    return not _ROLLED_BACK.isdisjoint(_codes(exc))


def is_not_primary(exc: BaseException) -> bool:
    """Return whether this node of Galera takes no statements."""
    return _NOT_PRIMARY in exc.args[:1]


def is_outdated(exc: sa_exc.SQLAlchemyError) -> bool:
    """Return whether a table or a column is missing."""
    if isinstance(exc, sa_exc.ProgrammingError):
        return _NOT_PERMITTED not in _codes(exc)
    return isinstance(exc, sa_exc.OperationalError) and (
        str(exc.orig).startswith(("no such table", "no such column", "table tasks has no column"))
        or _UNKNOWN_COLUMN in _codes(exc)
    )


def _codes(exc: sa_exc.DBAPIError) -> set[object]:
    """Return the driver's own codes: an SQLSTATE, or MariaDB's number."""
    return {getattr(exc.orig, "sqlstate", None), *getattr(exc.orig, "args", ())[:1]}
