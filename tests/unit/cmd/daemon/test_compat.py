# SPDX-License-Identifier: Apache-2.0
"""The private parts of oslo.service that the daemon needs are still there."""

import inspect
import types
from typing import Any

from oslo_service import service

from glance_sync_agent.cmd.daemon import compat


def test_the_manager_of_a_launcher_has_the_hook():
    hooks: dict[str, Any] = {}
    manager = types.SimpleNamespace(register_hooks=lambda **given: hooks.update(given))
    compat.reload_in_place(types.SimpleNamespace(_manager=manager))
    instance = types.SimpleNamespace(reset=object())
    wrapper = types.SimpleNamespace(service_instance=instance)
    hooks["on_new_worker"](0, 0, wrapper)
    assert wrapper.reload is instance.reset


def test_oslo_service_still_has_these_parts():
    module: Any = inspect.getmodule(service.ServiceLauncher)
    source = inspect.getsource(module)
    assert "self._manager" in source
    assert "service_instance" in source
