# SPDX-License-Identifier: Apache-2.0
"""The uWSGI configuration that Keystone and Glance share."""

import pathlib

_CONFIG = """\
[uwsgi]
http-socket = {host}:{port}
home = {venv}
pythonpath = {root}
module = {module}
chdir = {chdir}
procname-prefix-spaced = {name}
processes = {processes}
threads = {threads}
master = true
; Each worker loads the application itself, because Glance starts threads while it
; loads. Threads and their locks do not survive a fork.
lazy-apps = true
{preloaded}need-app = true
die-on-term = true
worker-reload-mercy = 5
no-orphans = true
thunder-lock = true
enable-threads = true
listen = {backlog}
umask = 022
buffer-size = 65535
; An upload over a slow link may pause, and may last for hours.
http-timeout = 3600
socket-timeout = 3600
; glanceclient sends chunks of 1 MiB; the default limit is just below that.
chunked-input-limit = 67108864
chunked-input-timeout = 3600
post-buffering = 0
; uWSGI closes every connection after its answer without this header. Clients would
; send the next request on it, and sometimes get a reset.
add-header = Connection: close
ignore-sigpipe = true
ignore-write-errors = true
disable-write-exception = true
log-format = %(ltime) %(addr) "%(method) %(uri) %(proto)" %(status) %(rsize) bytes %(msecs) ms
"""


def write(
    path: pathlib.Path,
    *,
    name: str,
    host: str,
    port: int,
    module: str,
    root: pathlib.Path,
    venv: pathlib.Path,
    processes: int,
    threads: int,
    preloaded: str | None = None,
) -> None:
    """Write the configuration of one application to ``path``.

    :param module: ``package.module:callable``, found in ``venv`` or ``root``.
    :param preloaded: a module that is loaded once, before the workers fork.
    """
    somaxconn = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    path.write_text(
        _CONFIG.format(
            name=name,
            host=host,
            port=port,
            module=module,
            root=root,
            venv=venv,
            chdir=path.parent,
            processes=processes,
            threads=threads,
            preloaded=f"shared-import = {preloaded}\n" if preloaded else "",
            backlog=min(1024, somaxconn),
        )
    )
