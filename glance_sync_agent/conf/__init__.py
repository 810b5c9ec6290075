# SPDX-License-Identifier: Apache-2.0
"""What the operator writes: ``sync.conf`` and ``glance_store.yaml``.

Read once into frozen values; nothing below this package knows oslo.config or YAML.
"""
