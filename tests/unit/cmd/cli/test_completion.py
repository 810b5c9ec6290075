# SPDX-License-Identifier: Apache-2.0
"""The script of ``complete``, in a real bash."""

import shlex
import subprocess

import pytest

from glance_sync_agent.cmd.cli import shell
from glance_sync_agent.cmd.manage import manager
from tests.unit.cmd import test_cli

# Fixtures.
logging_as_before = test_cli.logging_as_before

# What the package bash-completion has, without its care for words with colons.
_WORDS = """\
_get_comp_words_by_ref() {
  words=("${COMP_WORDS[@]}") cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
}
"""


def bash(script, *options):
    done = subprocess.run(
        ["bash", *options], input=script, check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def complete(capsys):
    """Return a function that returns what Tab offers at the end of a command line."""

    def offered(main, line):
        assert main(["complete"]) == 0
        script = capsys.readouterr().out
        bash(script, "-n")
        words = shlex.split(line) + [""] * line.endswith(" ")
        found = bash(
            f"""{_WORDS}{script}
            COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
            $(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
            printf '%s\\n' "${{COMPREPLY[@]}}"
            """
        )
        return found.split()

    return offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("glance-sync re", ["reconcile", "resume", "retry"]),
        ("glance-sync orphan ", ["delete", "list"]),
        ("glance-sync status --w", ["--watch", "--wait"]),
        ("glance-sync status --status p", ["pending", "processing"]),
        ("glance-sync status -f j", ["json"]),
        ("glance-sync events --kind pa", ["paused"]),
        ("glance-sync sync --f", []),  # the old name of an option is hidden
    ],
)
def test_commands_options_and_values_are_offered(complete, line, offered):
    assert complete(shell.main, line) == offered


def test_the_other_tool_has_a_script_of_its_own(complete):
    found = complete(manager.main, "glance-sync-manage ")
    assert found == ["check", "complete", "db", "help", "region"]
    assert complete(manager.main, "glance-sync-manage region re") == ["rename"]


def test_the_data_alone_has_no_code(capsys):
    assert shell.main(["complete", "--shell", "none"]) == 0
    out = capsys.readouterr().out
    assert "cmds_status=" in out
    assert "COMPREPLY" not in out
