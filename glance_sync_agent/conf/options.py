# SPDX-License-Identifier: Apache-2.0
"""Every option of ``sync.conf`` that is the agent's own."""

from collections.abc import Sequence
import copy

from oslo_config import cfg
from oslo_config import types

from glance_sync_agent.conf import metadata_options
from glance_sync_agent.conf import snapshot_options
from glance_sync_agent.conf import verify_options

#: Where these defaults are in force, the files may be absent.
DEFAULT_STORE_FILE = "glance_store.yaml"
DEFAULT_RULES_FILE = "sync_strategy.yaml"

_DEFAULT = [
    cfg.BoolOpt(
        "sync_enabled",
        default=True,
        mutable=True,
        help="Copy images. If false, the agent takes no message (they wait in the broker) and "
        "starts no task; what runs is finished.",
    ),
    cfg.Opt(
        "sync_strategy",
        type=types.String(
            choices=[
                ("None", "nothing is copied"),
                ("ALL", "every region with an image endpoint, but the cascading one"),
                (
                    "USER",
                    (
                        "for each image its own property sync_regions, or the rules of "
                        "[strategy] rules_file, or the regions that its owner's project is "
                        "associated with"
                    ),
                ),
            ],
            ignore_case=True,
        ),
        default="ALL",
        mutable=True,
        help="Which regions hold an image; in any case of letters. Under ALL, too, an image with "
        "the property sync_regions = none goes nowhere.",
    ),
    cfg.URIOpt(
        "cascading_endpoint_url",
        default="http://127.0.0.1:9292/",
        schemes=["http", "https"],
        help="Glance of the cascading region, as it stands in Keystone's catalogue; it tells "
        "the agent which region is the source. The database remembers that region: the agent "
        "does not start if this leads to another one. 'glance-sync-manage region rename' and "
        "'region forget' are the ways on.",
    ),
    cfg.BoolOpt(
        "record_locations",
        default=False,
        mutable=True,
        help="Add each copy to its source in the cascading region as a location "
        "GLANCE/v2/images/ID with the metadata image_id, action = upload and region, as the "
        "Glance Sync Manager of 2014 did for a cascading Nova, and take it off when the copy is "
        "deleted or kept in step no more. Off by default, because the cascading Glance has to "
        "have show_multiple_locations, which shows all locations to everybody who may see the "
        "image (OSSN-0065), and because it may lose what a user changes of an image in the very "
        "moment that a location is added. Off again, locations that are there stay. "
        "'glance-sync-manage check' tells what else it takes; without it the copies are in sync "
        "all the same.",
    ),
    *snapshot_options.DEFAULT,
    cfg.IntOpt(
        "task_retry_times",
        default=5,
        min=0,
        max=1000,
        mutable=True,
        help="Retries of a task after its first attempt failed, before it waits for an "
        "operator or for a change of the image. Five, spread by [transfer] "
        "retry_base_seconds, outlive a restart of a Glance.",
    ),
    cfg.IntOpt(
        "scp_copy_timeout",
        default=3600,
        min=0,
        mutable=True,
        help="Seconds that the data of one image may take to one region; 0: no limit. An hour "
        "is 100 GiB at 30 MiB/s. A transfer that stands still ends sooner, see [transfer] "
        "idle_timeout_seconds.",
    ),
    cfg.StrOpt(
        "glance_store_cfg_file",
        default=DEFAULT_STORE_FILE,
        help="The file that says how to reach the regions' stores: a path, or a name looked up "
        "beside sync.conf. Without the file every region is filled through its image API.",
    ),
    cfg.StrOpt(
        "state_path",
        default="/var/lib/glance-sync-agent",
        help="Directory of the agent's own files, such as the database and the lock that "
        "keeps a second agent out.",
    ),
]

_STRATEGY = [
    cfg.StrOpt(
        "rules_file",
        default=DEFAULT_RULES_FILE,
        mutable=True,
        help="The rules of sync_strategy = USER: a path, or a name looked up beside sync.conf. "
        "It is read at start and again at SIGHUP.",
    ),
    cfg.FloatOpt(
        "keystone_cache_seconds",
        default=60.0,
        min=0.0,
        max=86400.0,
        mutable=True,
        help="Seconds for which an answer of Keystone about a project is good: its name, domain, "
        "tags, roles and associations with endpoints. A change there takes that long to have "
        "an effect; an older answer is never used, not even while Keystone is away.",
    ),
    cfg.BoolOpt(
        "unfiltered_projects_may_use_all",
        default=True,
        mutable=True,
        help="Whether the property sync_regions is honoured for every region if Keystone "
        "associates the owner's project with no endpoint at all. Give it the value of "
        "[endpoint_filter] return_all_endpoints_if_no_filter in keystone.conf.",
    ),
]

_NOTIFICATIONS = [
    cfg.ListOpt(
        "topics",
        default=["notifications"],
        help="Topics that the cascading Glance notifies on, as its own "
        "[oslo_messaging_notifications] topics.",
    ),
    cfg.StrOpt(
        "exchange",
        default="glance",
        help="Exchange that the cascading Glance publishes to: its control_exchange.",
    ),
    cfg.StrOpt(
        "pool",
        default="glance-sync-agent",
        help="Name of the agents' own queue. Agents of one name share the messages; other "
        "consumers of the topic keep getting theirs.",
    ),
    cfg.MultiStrOpt(
        "region_transport_urls",
        default=[],
        secret=True,
        help="A cascaded region and its message bus, as RegionTwo:rabbit://USER:PASSWORD@HOST:"
        "PORT/VIRTUAL_HOST; may be given several times. The agent listens there, too, and "
        "brings snapshots that are made in that region to the snapshot regions, the cascading "
        "one included if snapshot_region_names names it.",
    ),
    cfg.IntOpt(
        "prefetch",
        default=32,
        min=16,
        max=1000,
        help="Messages that the broker hands out before the first is acknowledged. At least "
        "16, because a broker that restarts in the middle of a message takes a place away.",
    ),
]

_DATABASE = [
    cfg.StrOpt(
        "connection",
        secret=True,
        default="sqlite:///$state_path/sync.sqlite",
        help="SQLAlchemy URL of the tasks. SQLite suits one agent; "
        "postgresql+psycopg:// or mysql+pymysql:// are for several that share the work; the "
        "package's extras postgresql and mysql bring their drivers.",
    ),
]

_SSH = [
    cfg.StrOpt(
        "known_hosts",
        default="/etc/glance/known_hosts",
        help="Host keys of the store hosts, in OpenSSH's format. A host that is not in it, or "
        "shows another key, is refused. A region may name a file of its own.",
    ),
    cfg.FloatOpt(
        "connect_timeout_seconds",
        default=15.0,
        min=0.1,
        help="Seconds to wait for a store host to accept a connection and a log-in. Short, "
        "because a task is tried again.",
    ),
]

_TRANSFER = [
    cfg.IntOpt(
        "tasks_per_region",
        default=4,
        min=1,
        max=64,
        help="Tasks that run at once in one region. A region's share is its own, so that one "
        "that hangs holds up no other. One more task may run if its copy already has its data, "
        "for example to make a copy private.",
    ),
    cfg.IntOpt(
        "small_image_mib",
        default=4,
        min=0,
        help="Images up to this size in MiB go through the image API even where SSH is set up: "
        "one request costs less than a channel.",
    ),
    cfg.IntOpt(
        "large_image_mib",
        default=2048,
        min=0,
        help="Images from this size in MiB on never take all the places that tasks_per_region "
        "gives a region: one stays free for smaller ones, which would wait for hours behind "
        "some of 100 GiB. Copies that are read back count as well. 2 GiB take a minute at "
        "30 MiB/s. 0: all may take every place, as they do where there is only one.",
    ),
    cfg.BoolOpt(
        "copies_as_sources",
        default=True,
        mutable=True,
        help="Where an image cannot be read in its own region, or others are being read there "
        "already, read a verified copy of it in another region instead; what arrives is "
        "compared with the hash of the source either way. Images up to small_image_mib are "
        "only read elsewhere if their own region fails. Switch it off where the path between "
        "two cascaded regions is slower, or costs more, than the one from the cascading region.",
    ),
    cfg.FloatOpt(
        "connect_timeout_seconds",
        default=10.0,
        min=0.1,
        help="Seconds to wait for an image endpoint to accept a connection.",
    ),
    cfg.FloatOpt(
        "idle_timeout_seconds",
        default=60.0,
        min=1.0,
        help="Seconds without a byte, or without an answer, after which a request or a transfer "
        "is given up and tried again. It must cover the pause that Glance takes after the "
        "last byte.",
    ),
    cfg.FloatOpt(
        "retry_base_seconds",
        default=5.0,
        min=0.01,
        help="Longest wait before the first retry of a task. It doubles with each retry, and "
        "the actual wait is a random part of it, so that tasks that failed together do not "
        "come back together.",
    ),
    cfg.FloatOpt(
        "retry_max_seconds",
        default=1800.0,
        min=0.01,
        help="Longest wait before any retry of a task, in seconds. Half an hour, because a task "
        "may be tried for a day, and each attempt may send the whole image.",
    ),
    cfg.FloatOpt(
        "give_up_seconds",
        default=86400.0,
        min=0,
        mutable=True,
        help="Seconds after its first failure for which a task is tried again, even if "
        "task_retry_times is used up. This concerns failures that may pass: a full disk, a "
        "quota, 403 or 413 for an upload, 5xx, a broken connection. Afterwards the task fails, "
        "and is tried once a day. A day outlasts a night in which nobody makes room. 0: only "
        "task_retry_times counts.",
    ),
    cfg.FloatOpt(
        "vanished_pause_seconds",
        default=600.0,
        min=0,
        max=86400,
        mutable=True,
        help="Seconds from one copy of an image to the next, if somebody deletes it in its "
        "region for the second time. The pause doubles each time, up to a day, so that an image "
        "is not sent for ever to a region whose users delete it. A week without a deletion ends "
        "that. 0: copy again at once, always.",
    ),
    cfg.FloatOpt(
        "lease_seconds",
        default=180.0,
        min=10.0,
        help="Seconds after its last sign of life in which a task stays with its agent. Must be "
        "well above idle_timeout_seconds.",
    ),
    cfg.IntOpt(
        "region_failures",
        default=4,
        min=0,
        max=1000,
        mutable=True,
        help="Failures of a region in a row after which the agent pauses it. A failed connection "
        "to its Glance or its SSH host counts as one. A request about an image that gets 5xx, or "
        "no answer, counts once for each image. The tasks of a paused region wait. They use up no "
        "retries, unless an image's data was interrupted. A region that answers 5xx is not "
        "paused: it gets up to tasks_per_region tasks at a time until one succeeds. 0: never "
        "pause. The default is as many as tasks run at once, and fewer than task_retry_times "
        "allows, so that a single image waits as well.",
    ),
    cfg.FloatOpt(
        "region_pause_seconds",
        default=10.0,
        min=0.01,
        mutable=True,
        help="Longest time for which a region is left alone at first; then one task is tried, "
        "and if that fails, the pause doubles. The actual pause is a random part of it, at "
        "least half, so that several regions do not come back at once. A region that answers 5xx "
        "gets its next few tasks after a tenth of it.",
    ),
    cfg.FloatOpt(
        "region_pause_max_seconds",
        default=300.0,
        min=0.01,
        mutable=True,
        help="Longest time in seconds for which a region is left alone before one more task is "
        "tried: what a region that is well again may have to wait.",
    ),
]

_RECONCILE = [
    cfg.FloatOpt(
        "interval",
        default=600.0,
        min=0,
        mutable=True,
        help="Seconds from the end of one look at everything to the next, give or take a tenth. "
        "A look compares every image with its copies and requests what differs, as an event "
        "would have. There is one at start and after a reload in any case. 0: no other. Of "
        "several agents that share a database one looks.",
    ),
    cfg.FloatOpt(
        "changes_interval",
        default=60.0,
        min=0,
        mutable=True,
        help="Seconds from one look at those images that changed lately to the next, give or "
        "take a tenth. It costs two requests to the cascading Glance where nothing was missed, "
        "and makes good within a minute what no message told of, deletions and changes of "
        "members aside; for those see members_interval. 0: never.",
    ),
    cfg.FloatOpt(
        "members_interval",
        default=86400.0,
        min=0,
        mutable=True,
        help="Seconds within which the members of each shared image are compared with those of "
        "its copies. It costs one request for the image and one for each copy, so that a look at "
        "everything compares those of some images only, each in its turn; also the look at start. "
        "The changes that a message tells of are followed at once: a day is enough for those that "
        "none told of. 0: all of them in each look.",
    ),
    cfg.IntOpt(
        "max_deletes",
        default=10,
        min=0,
        mutable=True,
        help="Images whose copies one look at everything may remove. More than that looks like "
        "an accident in the cascading region, or in the rules: then none is removed, and the "
        "log says how to go on: 'glance-sync reconcile --allow-deletes N' allows N once. "
        "Deletions that were announced by a message do not count.",
    ),
    cfg.FloatOpt(
        "gone_grace",
        default=86400,
        min=0,
        mutable=True,
        help="Seconds after which a missing image counts as deleted, if no message told of its "
        "deletion. A Glance that lost its database, or was restored from a backup, misses images "
        "that nobody deleted; a day leaves time to notice. 0: at once.",
    ),
    cfg.BoolOpt(
        "delete_out_of_strategy",
        default=False,
        mutable=True,
        help="Whether a copy goes once the strategy does not want its image in that region any "
        "more: it was taken out by a rule, by its property sync_regions, by Keystone's endpoint "
        "filter. The next look at everything removes it, under max_deletes. Otherwise copies "
        "stay, as they are, until their source is deleted.",
    ),
]

GROUPS: dict[str | None, Sequence[cfg.Opt]] = {
    None: _DEFAULT,
    "strategy": _STRATEGY,
    "snapshots": snapshot_options.OPTIONS,
    "metadata": metadata_options.OPTIONS,
    "notifications": _NOTIFICATIONS,
    "database": _DATABASE,
    "ssh": _SSH,
    "transfer": _TRANSFER,
    "reconcile": _RECONCILE,
    "verify": verify_options.OPTIONS,
}


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return all options for oslo-config-generator."""
    return [(group, copy.deepcopy(list(opts))) for group, opts in GROUPS.items()]


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options known to ``conf``."""
    for group, opts in GROUPS.items():
        conf.register_opts(opts, group=group)
