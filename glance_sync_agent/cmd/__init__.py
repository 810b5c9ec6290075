# SPDX-License-Identifier: Apache-2.0
"""The commands: the agent, the operator's tool, and the manager's.

The only place that knows of processes, threads, signals and exit codes.
"""

import sys

# All here, because a command imports this before anything else of the package.
# futurist loads eventlet, if it is there, only to look whether it is in use; that costs each
# process a fifth of its start and 12 MiB. It is not in use.
sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]

from oslo_service import backend  # noqa: E402

# oslo.messaging and oslo.service choose their threads when they are imported.
backend.init_backend(backend.BackendType.THREADING)
