#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tools/soak.sh [MINUTES] [--seed N] [--converge SECONDS] [--name CLOUD]
#
# Installs what is missing. Makes a new cloud of four regions on loopback, with three
# agents on one PostgreSQL database. For MINUTES two users publish, change, share and
# delete random images. Operators pause and resume regions, cancel tasks, and ask for
# them again. Meanwhile random faults happen: agents are killed, services stop, freeze or
# refuse, copies are deleted, changed and damaged. The soak checks for violations all the
# time. Then the faults end, the operators resume everything, and every region, file and
# task must converge to the sources. The exit status is 0 only without violations.
#
#   MINUTES             time with users and faults (20)
#   --seed N            repeat the operations of that seed, which is printed first
#   --converge SECONDS  limit for the time from the last fault to the end (240)
#   --name CLOUD        name of the cloud; its old state is removed (soak)
#
# .cloud/CLOUD keeps the data of the cloud, the logs of the agents, and a list of all
# events, events.log.

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

# Report a mistake before the installation, which takes minutes.
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
