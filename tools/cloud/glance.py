# SPDX-License-Identifier: Apache-2.0
"""One Glance for each region, with a filesystem store and a database of its own."""

import pathlib

from tools.cloud import databases
from tools.cloud import model
from tools.cloud import probes
from tools.cloud import services
from tools.cloud import uwsgi

# Two digests in one Python thread limit an upload, and they seldom release the
# interpreter lock. So a second process doubles the rate of two uploads.
_PROCESSES = 2
_THREADS = 16
_CONFIG = """\
[DEFAULT]
transport_url = {region.transport_url}
default_publisher_id = image.{region.name}
enabled_backends = local:file
public_endpoint = {region.glance_url}
worker_self_reference_url = {region.glance_url}
enabled_import_methods = [glance-direct,web-download,glance-download,copy-image]
node_staging_uri = file://{region.staging_dir}
show_image_direct_url = false
show_multiple_locations = false
image_cache_dir = {home}/cache
[glance_store]
default_backend = local
[local]
filesystem_store_datadir = {region.datadir}
[os_glance_staging_store]
filesystem_store_datadir = {region.staging_dir}
[os_glance_tasks_store]
filesystem_store_datadir = {home}/tasks
[task]
work_dir = {home}/work
[oslo_concurrency]
lock_path = {home}/locks
[database]
connection = sqlite:///{home}/glance.sqlite?timeout=60
sqlite_synchronous = false
[paste_deploy]
config_file = {paste}
flavor = keystone
[keystone_authtoken]
www_authenticate_uri = {cloud.auth_url}
auth_url = {cloud.auth_url}
auth_type = password
username = {user.name}
password = {user.password}
project_name = {user.project}
user_domain_name = {user.domain}
project_domain_name = {user.domain}
service_token_roles_required = true
token_cache_time = 3600
[oslo_messaging_notifications]
driver = messagingv2
topics = notifications
[import_filtering_opts]
allowed_hosts = {loopback}
allowed_ports = []
[wsgi]
task_pool_threads = 8
"""


def configure(cloud: model.Description, root: pathlib.Path, venv: pathlib.Path) -> None:
    """Write the configuration of every region's Glance and make its directories."""
    user = cloud.user("glance")
    # Glance refuses loopback unless it is named, and every region is on loopback.
    loopback = f"[{','.join(region.glance_host for region in cloud.regions)}]"
    paste = venv / "etc" / "glance" / "glance-api-paste.ini"
    for region in cloud.regions:
        home = _home(region)
        for directory in ("etc", "images", "staging", "tasks", "work", "locks", "cache"):
            (home / directory).mkdir(parents=True, exist_ok=True)
        (home / "etc" / "glance-api.conf").write_text(
            _CONFIG.format(
                region=region, cloud=cloud, user=user, home=home, paste=paste, loopback=loopback
            )
        )
        uwsgi.write(
            home / "etc" / "uwsgi.ini",
            name=f"{cloud.name}/glance-{region.name}",
            host=region.glance_host,
            port=region.glance_port,
            module="tools.cloud.wsgi_glance:application",
            root=root,
            venv=venv,
            processes=_PROCESSES,
            threads=_THREADS,
            preloaded="tools.cloud.glance_modules",
        )


def prepare(cloud: model.Description, venv: pathlib.Path, cache: pathlib.Path) -> None:
    """Make an empty database for every Glance without one.

    :raises CloudError: glance-manage fails.
    """
    for region in cloud.regions:
        database = _home(region) / "glance.sqlite"
        if not database.exists():
            databases.copy_empty("glance", venv, cache, database)


def build(cloud: model.Description, venv: pathlib.Path) -> list[services.Service]:
    """Return the services."""
    state_dir = pathlib.Path(cloud.state_dir)
    return [
        services.Service(
            name=f"glance-{region.name}",
            host=region.glance_host,
            port=region.glance_port,
            command=[
                str(venv / "bin" / "uwsgi"),
                "--ini",
                str(pathlib.Path(region.config_dir) / "uwsgi.ini"),
            ],
            env=services.environment(_home(region), OS_GLANCE_CONFIG_DIR=region.config_dir),
            log=pathlib.Path(region.glance_log),
            pid_file=state_dir / "run" / f"glance-{region.name}.json",
            probe=probes.http_get(region.glance_host, region.glance_port, "/versions"),
        )
        for region in cloud.regions
    ]


def _home(region: model.Region) -> pathlib.Path:
    return pathlib.Path(region.config_dir).parent
