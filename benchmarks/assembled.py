# SPDX-License-Identifier: Apache-2.0
"""The engine with the defaults of sync.conf, on a cloud that is made up."""

from collections.abc import Callable
import functools

from oslo_config import cfg

from benchmarks import made_up
from glance_sync_agent import cmd  # noqa: F401 - chooses the threads of oslo.service
from glance_sync_agent.conf import options
from glance_sync_agent.conf import settings as agent_settings
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.engine.assembly.settings import Settings


def engine(
    cloud: made_up.Cloud,
    store: task_store.SqlTaskStore,
    runtime: ports.Runtime | None = None,
    change: Callable[[Settings], Settings] = lambda settings: settings,
) -> engines.Engine:
    """Assemble an engine.

    :param change: returns other settings than the defaults.
    """
    settings = change(_defaults())
    outside = ports.Ports(
        regions=cloud,
        catalogue=cloud,
        projects=cloud,
        store=store,
        leader_leases=store.leader_leases(),
        breakers=store.breakers(),
        pauses=store.pauses(),
        history=store.history(),
        agents=store.agents(),
        jobs=store.jobs(),
        facts=store.facts(),
        clock=made_up.Clock(),  # that of the database is the same
    )
    return engines.assemble(outside, lambda: settings, runtime)


@functools.cache
def _defaults() -> Settings:
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf([], project="glance", default_config_files=[], default_config_dirs=[])
    return agent_settings.load(conf).engine
