# SPDX-License-Identifier: Apache-2.0
"""``glance-sync``: whether image X is in region Y, and if not, why."""

from collections.abc import Sequence
import sys

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import explain
from glance_sync_agent.cmd.cli import marked
from glance_sync_agent.cmd.cli import reconcile
from glance_sync_agent.cmd.cli import requests
from glance_sync_agent.cmd.cli import verify
from glance_sync_agent.cmd.cli import views

_DESCRIPTION = "Shows which image is in which region, and has the agent look at one again."
_EXAMPLES = """\
examples:
  glance-sync status                          every image, every region
  glance-sync status --status failure         what needs an operator, and why
  glance-sync status --region RegionTwo -f json
  glance-sync show IMAGE                      one image in all regions
  glance-sync explain IMAGE                   where it belongs, and what decided that
  glance-sync retry IMAGE RegionTwo           the cause is removed: try again now
  glance-sync sync IMAGE                      look at an image that no event announced
  glance-sync reconcile --dry-run             what differs anywhere, and why
  glance-sync verify --region RegionTwo       read every copy there back

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
