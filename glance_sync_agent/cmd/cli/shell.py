# SPDX-License-Identifier: Apache-2.0
"""``glance-sync``: shows whether an image is in a region, and why not."""

from collections.abc import Sequence
import sys

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import explain
from glance_sync_agent.cmd.cli import marked
from glance_sync_agent.cmd.cli import reconcile
from glance_sync_agent.cmd.cli import requests
from glance_sync_agent.cmd.cli import verify
from glance_sync_agent.cmd.cli import views

_DESCRIPTION = "Shows which images are in which regions, and requests work of the agent."
_EXAMPLES = """\
examples:
  glance-sync status                          every image, every region
  glance-sync status --status failure         failed tasks, and why they failed
  glance-sync status --region RegionTwo -f json
  glance-sync show IMAGE                      one image in all regions
  glance-sync explain IMAGE                   where it belongs, and why
  glance-sync retry IMAGE RegionTwo           retry a failed task now
  glance-sync sync IMAGE                      check an image again now
  glance-sync reconcile --dry-run             all differences, and their reasons
  glance-sync verify --region RegionTwo       read all copies of a region back

exit status: 0, 1 for a failure, 2 for a usage error
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``glance-sync``; return its exit status."""
    tool = console.Console(
        name="glance-sync",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        commands={
            "status": views.Status,
            "show": views.Show,
            "explain": explain.Explain,
            "retry": requests.Retry,
            "sync": requests.Sync,
            "reconcile": reconcile.Reconcile,
            "verify": verify.Verify,
            "adopt": marked.Adopt,
            "disown": marked.Disown,
            "orphan list": marked.OrphanList,
            "orphan delete": marked.OrphanDelete,
        },
    )
    return console.run(tool, argv)


if __name__ == "__main__":
    sys.exit(main())
