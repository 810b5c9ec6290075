# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-status upgrade check``: shows whether an installation can be upgraded."""

from collections.abc import Sequence
import sys

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

import glance_sync_agent
from glance_sync_agent.cmd.status import upgrade_checks
from glance_sync_agent.wiring import configuration as configurations

_NAME = "glance-sync-status"
_DESCRIPTION = """
Checks an installation before the services of a new version start, as 'nova-status upgrade check'
does. Writes nothing. Exit status: 0 if all is well, 1 for warnings, 2 if an upgrade would fail,
255 if nothing was checked.
"""
_NOTHING_CHECKED = 255


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``glance-sync-status``; return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    conf = cfg.ConfigOpts()

    def read() -> configurations.Configuration:
        named = [f"--config-file={name}" for name in conf.config_file]
        named += [f"--config-dir={name}" for name in conf.config_dir]
        return configurations.read(named, prog=_NAME, description=_DESCRIPTION)

    upgradecheck.register_cli_options(conf, upgrade_checks.UpgradeChecks(read))
    try:
        conf(
            arguments,
            project="glance",
            prog=_NAME,
            description=_DESCRIPTION,
            version=glance_sync_agent.__version__,
            # The usual sync.conf is found when it is read.
            default_config_files=[],
            default_config_dirs=[],
        )
    except (cfg.Error, OSError) as exc:
        print(f"{_NAME}: could not read the configuration: {exc}", file=sys.stderr)
        return _NOTHING_CHECKED
    upgradecheck.CONF = conf  # as its main() does, for --json
    return int(upgradecheck.run(conf))


if __name__ == "__main__":
    sys.exit(main())
