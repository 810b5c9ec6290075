# SPDX-License-Identifier: Apache-2.0
"""Adds to the schema what it lacks.

MariaDB commits each statement of a step, so a step may find its first half done: a former
upgrade was killed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from alembic import op
import sqlalchemy as sa


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add the columns that a table does not have."""
    found = {one["name"] for one in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in found:
            op.add_column(table, column)


def create_indexes(table: str, indexes: Mapping[str, Sequence[str]]) -> None:
    """Create the indexes that a table does not have.

    :param indexes: the columns of each by name.
    """
    found = {one["name"] for one in sa.inspect(op.get_bind()).get_indexes(table)}
    for name, columns in indexes.items():
        if name not in found:
            op.create_index(name, table, columns)
