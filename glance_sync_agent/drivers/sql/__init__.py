# SPDX-License-Identifier: Apache-2.0
"""The database, by SQLAlchemy and alembic."""
