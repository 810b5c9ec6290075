# SPDX-License-Identifier: Apache-2.0
"""``glance-sync``: shows whether an image is in a region, and why not."""

from collections.abc import Sequence
import sys

from glance_sync_agent.cmd.cli import cancel
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import events
from glance_sync_agent.cmd.cli import explain
from glance_sync_agent.cmd.cli import marked
from glance_sync_agent.cmd.cli import pauses
from glance_sync_agent.cmd.cli import reconcile
from glance_sync_agent.cmd.cli import requests
from glance_sync_agent.cmd.cli import show
from glance_sync_agent.cmd.cli import status
from glance_sync_agent.cmd.cli import summary
from glance_sync_agent.cmd.cli import verify

_DESCRIPTION = "Shows which images are in which regions, and requests work of the agent."
_EXAMPLES = """\
examples:
  glance-sync                                 the state of all: the same as 'summary'
  glance-sync status                          every image, every region
  glance-sync status --status failure         failed tasks, and why they failed
  glance-sync status --region RegionTwo -f json
  glance-sync show IMAGE                      one image in all regions
  glance-sync explain IMAGE                   where it belongs, and why
  glance-sync retry IMAGE RegionTwo           retry a failed task now
  glance-sync sync IMAGE                      check an image again now
  glance-sync cancel IMAGE                    stop what is on its way
  glance-sync pause RegionTwo --reason disks  stop all work on a region
  glance-sync events --image IMAGE            what was done, and what failed
  glance-sync reconcile --dry-run             all differences, and their reasons
  glance-sync verify --region RegionTwo       read all copies of a region back

exit status: 0, 1 for a failure, 2 for a usage error; 'summary': as a Nagios plug-in
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``glance-sync``; return its exit status."""
    tool = console.Console(
        name="glance-sync",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        default="summary",
        commands={
            "summary": summary.Summary,
            "status": status.Status,
            "show": show.Show,
            "explain": explain.Explain,
            "retry": requests.Retry,
            "sync": requests.Sync,
            "cancel": cancel.Cancel,
            "events": events.Events,
            "agents": summary.Agents,
            "pause": pauses.Pause,
            "resume": pauses.Resume,
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
