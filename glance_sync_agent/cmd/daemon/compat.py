# SPDX-License-Identifier: Apache-2.0
"""What the daemon needs of oslo.service beyond its public parts."""

from typing import Any

from oslo_service import service


def reload_in_place(launcher: service.ServiceLauncher) -> None:
    """Have SIGHUP reload the running worker.

    The launcher would end the worker and fork another one, which drops the running transfers.
    Its manager has the hook for that, and no public name.
    """
    launcher._manager.register_hooks(on_new_worker=_reload_in_place)  # noqa: SLF001


def _reload_in_place(_service_id: Any, _worker_id: Any, wrapper: Any) -> None:
    wrapper.reload = wrapper.service_instance.reset
