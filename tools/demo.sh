#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tools/demo.sh [--keep] [--json] [--size MIB] [--name CLOUD] [--timeout SECONDS] [--attach]
#
# Installs what is missing (Debian packages, the virtualenvs .venv and .cloud/venv).
# Starts the agent and a real cloud of four regions on loopback. Publishes two images in
# one region, and shows them arrive in the others. Reads every copy back and hashes it.
# Changes, shares and deletes, and shows each change arrive. Stops everything at the
# end. The exit status is 0 only if every region held the right bytes and every change
# arrived.
#
#   --keep             leave cloud and agent running, and show how to use them
#   --json             print one summary as JSON on stdout, everything else on stderr
#   --size MIB         size of the big image (256)
#   --name CLOUD       name of the cloud; its state is in .cloud/CLOUD (demo)
#   --timeout SECONDS  limit for the copies, and for each change (600)
#   --attach           use a running cloud, and leave it running
#
# GLANCE_SYNC_DEBUG=1 shows a traceback for each error.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for argument in "$@"; do
    case $argument in
    -h | --help)
        sed -n '4,/^$/s/^# \{0,1\}//p' tools/demo.sh
        exit 0
        ;;
    esac
done

# Report a mistake before the installation, which takes minutes.
if command -v python3 >/dev/null; then
    python3 -m tools.demo.options "$@" || exit
fi

# shellcheck source=tools/lib/bootstrap.sh
source tools/lib/bootstrap.sh
{
    ensure_cloud_packages
    ensure_agent_venv
    ensure_cloud_venv
} >&2

unset PYTHONHOME PYTHONPATH
exec .venv/bin/python -m tools.demo "$@"
