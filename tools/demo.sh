#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tools/demo.sh [--keep] [--json] [--size MIB] [--name CLOUD] [--timeout SECONDS] [--attach]
#
# Prepares everything that is missing (Debian packages, the virtualenvs .venv and
# .cloud/venv), starts a real cloud of four regions on loopback and the agent,
# publishes two images in one region, shows them arrive in the others, reads every
# copy back and hashes it, then changes, shares and deletes, and shows each change
# arrive. Stops everything at the end. Exit status 0 only if every region held the
# right bytes and every change arrived.
#
#   --keep             leave cloud and agent running, and say how to play with them
#   --json             print one summary as JSON on stdout, the rest on stderr
#   --size MIB         of the big image (256)
#   --name CLOUD       which cloud; its state is in .cloud/CLOUD (demo)
#   --timeout SECONDS  that the copies, and each change, may take (600)
#   --attach           use a cloud that runs already as it is, and leave it running
#
# GLANCE_SYNC_DEBUG=1 shows a traceback where there would be a sentence.

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

# A mistake is told before minutes of installation, if there is anything to tell it with.
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
