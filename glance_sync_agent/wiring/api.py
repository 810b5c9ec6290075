# SPDX-License-Identifier: Apache-2.0
"""The API on the cloud and the database of ``sync.conf``."""

from collections.abc import Callable, Iterator
import contextlib
import functools
import logging
import threading
import time

from oslo_config import cfg

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.api import application
from glance_sync_agent.api import audit
from glance_sync_agent.api import pipeline
from glance_sync_agent.api.parts import Parts
from glance_sync_agent.api.policies import Policies
from glance_sync_agent.api.shared_counts import SharedCounts
from glance_sync_agent.api.visible_images import VisibleImages
from glance_sync_agent.conf.api import AuditSettings
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.bus import notifiers
from glance_sync_agent.drivers.glance import visibility
from glance_sync_agent.drivers.keystone.log_ins import KeystoneLogIns
from glance_sync_agent.drivers.meters import PrometheusMeters
from glance_sync_agent.ui import application as page
from glance_sync_agent.ui.parts import PageParts
from glance_sync_agent.ui.rendering import Templates
from glance_sync_agent.ui.sessions import Sealer
from glance_sync_agent.ui.throttle import Throttle
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import CREDENTIALS

LOG = logging.getLogger(__name__)

_CLOCK_SECONDS = 60.0  # between two readings of the database's clock


def build(cloud: Cloud, meters: PrometheusMeters | None = None) -> pipeline.Wsgi:
    """Return the application with its middleware; sends no request yet.

    :param meters: of an agent in this process; None: there is none.
    :raises ConfigurationError: ``[service_credentials]`` is incomplete.
    :raises ServiceUnavailable: the database is unreachable.
    """
    conf = cloud.configuration.conf

    def may_see(token: str, image_id: images.ImageId) -> bool:
        endpoint = cloud.catalogue.endpoint(cloud.catalogue.cascading)
        return visibility.may_see(cloud.session, endpoint, token, image_id)

    engine = cloud.engine()
    parts = Parts(
        outside=engine.outside,
        engine=engine,
        settings=cloud.configuration.for_engine,
        may_see=VisibleImages(may_see).may_see,
        counts=SharedCounts(
            engine.outside, lambda: cloud.configuration.for_engine().upkeep.completion_target
        ),
        version=glance_sync_agent.__version__,
        meters=None if meters is None else meters.registry,
    )
    settings = cloud.configuration.settings.api
    return pipeline.build(
        application.build(parts, Policies(conf)),
        conf,
        CREDENTIALS,
        with_page=_with_page(cloud) if settings.has_page else _unchanged,
        audited=_audited(conf, settings.audit) if settings.audit.is_enabled else _unchanged,
    )


@contextlib.contextmanager
def followed_clock(cloud: Cloud, seconds: float = _CLOCK_SECONDS) -> Iterator[None]:
    """Let the clock follow that of the database meanwhile.

    :param seconds: between two readings.
    """
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(seconds):
            with contextlib.suppress(errors.SyncError):
                cloud.clock.follow(cloud.store.clock_ahead())

    threading.Thread(target=follow, name="api clock", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _unchanged(api: pipeline.Wsgi) -> pipeline.Wsgi:
    return api


def _audited(
    conf: cfg.ConfigOpts, settings: AuditSettings
) -> Callable[[pipeline.Wsgi], pipeline.Wsgi]:
    audit.register(conf)
    section = conf[audit.SECTION]
    notifiers.prepare(conf, section.transport_url, f"[{audit.SECTION}] transport_url")
    if section.use_oslo_messaging and not notifiers.drivers(conf, section.driver):
        LOG.warning(
            "[audit] is enabled, but no audit event is sent: set driver = messagingv2 in [%s]",
            audit.SECTION,
        )
    return functools.partial(
        audit.build,
        conf=conf,
        map_file=settings.map_file,
        ignored_methods=settings.ignored_methods,
    )


def _with_page(cloud: Cloud) -> Callable[[pipeline.Wsgi], pipeline.Wsgi]:
    def put_before(api: pipeline.Wsgi) -> pipeline.Wsgi:
        return page.build(
            PageParts(
                api=api,
                log_ins=KeystoneLogIns(cloud.session),
                sealer=Sealer(cloud.configuration.settings.api.session_key),
                throttle=Throttle(),
                templates=Templates(),
                now=time.time,
            )
        )

    return put_before
