# SPDX-License-Identifier: Apache-2.0

import glance_sync_agent

project = "glance-sync-agent"
copyright = "the glance-sync-agent developers"  # noqa: A001 - sphinx names it so
version = release = glance_sync_agent.__version__

extensions = [
    "openstackdocstheme",
    "oslo_config.sphinxext",
]
root_doc = "index"

html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_auto_version = False
