# SPDX-License-Identifier: Apache-2.0
"""Applies the steps with the connection of ``schema.upgrade``; alembic runs this file."""

from alembic import context

# The caller has begun a transaction or holds a lock, so alembic must not open one of its own.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
