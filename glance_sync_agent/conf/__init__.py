# SPDX-License-Identifier: Apache-2.0
"""The operator's files, ``sync.conf`` and ``glance_store.yaml``, as frozen values.

No package below this one knows oslo.config or YAML.
"""
