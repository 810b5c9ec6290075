# SPDX-License-Identifier: Apache-2.0

project = "glance-sync-agent release notes"
copyright = "the glance-sync-agent developers"  # noqa: A001 - sphinx names it so
version = release = ""

extensions = [
    "openstackdocstheme",
    "reno.sphinxext",
]
root_doc = "index"

html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_auto_version = False
