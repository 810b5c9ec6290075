# SPDX-License-Identifier: Apache-2.0
"""The commands: the agent, ``glance-sync`` and ``glance-sync-manage``.

No other package knows processes, signals and exit codes.
"""

import sys

# This module is the first that a command imports. futurist and oslo.utils load eventlet only to
# see whether it is in use. It is not, and costs a fifth of the start and 12 MiB. There is no
# option against it; None is Python's way to block an import.
sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]

from oslo_service import backend  # noqa: E402

# oslo.messaging needs it before it is imported: its servers are services of oslo.service.
backend.init_backend(backend.BackendType.THREADING)
