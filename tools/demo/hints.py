# SPDX-License-Identifier: Apache-2.0
"""How to use a cloud that was kept."""

import os
import pathlib

from tools.demo import screen
from tools.demo import stage

_HINTS = """\
as alice, list the images of the cascading region and of another one:
  source {state}/openrc-alice
  .venv/bin/glance image-list
  .venv/bin/glance --os-region-name {region} image-list
publish another image:
  .venv/bin/glance image-create --name mine --disk-format raw --container-format bare \\
    --file README.rst
see what the agent does:
  .venv/bin/glance-sync --config-file {config} status
  .venv/bin/glance-sync --config-file {config} show IMAGE
  tail -f {log}
look at the agent's page in a browser; the log-in is in {state}/openrc:
  {api}/ui/
ask its API:
  source {state}/openrc
  curl -s -H "X-Auth-Token: $(.venv/bin/openstack token issue -f value -c id)" {api}/v1/summary
stop and start the agent:
  kill {pid}
  .venv/bin/glance-sync-agent --config-file {config}
stop everything; remove everything:
  tools/cloud/down --name {name}
  tools/cloud/wipe --name {name}
"""


def show(where: stage.Stage, output: screen.Screen, root: pathlib.Path) -> None:
    """Print how to use the running cloud."""
    pid = where.agent_pid
    output.say(
        f"Kept: the cloud '{where.cloud.name}' and"
        f" {f'the agent, process {pid}' if pid else 'no agent, because it ended'}."
        f" In {root}:"
    )
    output.quote(
        _HINTS.format(
            state=_short(where.cloud.state_dir, root),
            config=_short(where.config_file, root),
            log=_short(where.log, root),
            name=where.cloud.name,
            region=where.cloud.describe().cascaded[0].name,
            pid=pid or "PID",
            api=where.api_url if pid else "http://ADDRESS",
        )
    )


def _short(path: pathlib.Path, root: pathlib.Path) -> str:
    return os.path.relpath(path, root)
