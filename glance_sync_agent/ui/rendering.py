# SPDX-License-Identifier: Apache-2.0
"""Writes pages from templates."""

from typing import Any

import jinja2


class Templates:
    """The templates of this package; every value is escaped. Thread safe."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("glance_sync_agent.ui"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # an upgrade restarts the process
        )
        # The row that the module in the browser clones has no values.
        self._environment.globals["blank"] = jinja2.ChainableUndefined(name="blank")

    def render(self, name: str, **values: Any) -> str:
        """Return a page."""
        return self._environment.get_template(name).render(values)
