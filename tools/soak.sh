#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tools/soak.sh [MINUTES] [--seed N] [--converge SECONDS] [--name CLOUD]
#
# Prepares everything that is missing, makes a new cloud of four regions on loopback
# and has three agents with one PostgreSQL database look after it. For MINUTES two
# users publish, change, share and delete images by chance, while by chance agents
# are killed, services stop, freeze or refuse, and copies are deleted, changed and
# damaged. All the while it looks for what must never be. Then nothing breaks any
# more, and every region, file and task must become what the sources say. Exit
# status 0 only if there was no violation; each is spelled out.
#
#   MINUTES             of users and faults (20)
#   --seed N            repeats what is done, and in which order; printed first
#   --converge SECONDS  that the end may take once nothing breaks any more (240)
#   --name CLOUD        which cloud; what is there of it is wiped (soak)
#
# The cloud's data, the agents' logs and a list of all that was done, events.log,
# stay in .cloud/CLOUD.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for argument in "$@"; do
    case $argument in
    -h | --help)
        sed -n '4,/^$/s/^# \{0,1\}//p' tools/soak.sh
        exit 0
        ;;
    esac
done

# A mistake is told before minutes of installation, if there is anything to tell it with.
if command -v python3 >/dev/null; then
    python3 -m tools.soak.options "$@" || exit
fi

# shellcheck source=tools/lib/bootstrap.sh
source tools/lib/bootstrap.sh
{
    ensure_cloud_packages
    ensure_database_packages
    ensure_agent_venv
    ensure_cloud_venv
} >&2

unset PYTHONHOME PYTHONPATH
exec .venv/bin/python -m tools.soak "$@"
