# SPDX-License-Identifier: Apache-2.0
"""Run by alembic: applies the steps over the connection that ``database.upgrade`` prepared."""

from alembic import context

# The connection is inside a transaction, or holds a lock, of the caller's; so alembic neither
# opens nor commits one of its own.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
