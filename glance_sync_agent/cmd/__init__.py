# SPDX-License-Identifier: Apache-2.0
"""The commands: the agent, the operator's tool, and the manager's.

The only place that knows of processes, threads, signals and exit codes.
"""

import warnings

from oslo_service import backend

# Both here, because a command imports this before anything else of the package.
# futurist looks whether eventlet is in use, and thereby wakes eventlet's farewell to its users.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
# oslo.messaging and oslo.service choose their threads when they are imported.
backend.init_backend(backend.BackendType.THREADING)
