# SPDX-License-Identifier: Apache-2.0
"""The examples of README.rst and of the pages work: the tests run or parse them."""

from collections.abc import Iterator
import configparser
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import pytest

from glance_sync_agent.cmd.check import store_checks
from glance_sync_agent.cmd.cli import task_view
from glance_sync_agent.conf import options
from glance_sync_agent.conf import settings
from glance_sync_agent.conf import store_file
from glance_sync_agent.conf import sync_conf
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import filesystem
from tests import paths
from tests.fakes import sshd as fakes
from tests.functional import databases
from tests.functional import running
from tools import cloud as clouds

_ROOT = paths.ROOT
_PAGES = {
    path.name: path.read_text()
    for path in (_ROOT / "README.rst", *sorted((_ROOT / "doc" / "source").glob("*.rst")))
}
_BIN = pathlib.Path(sys.executable).parent
_TOOLS = {"glance-sync", "glance-sync-manage"}
_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:(?:   .*)?\n)+)", re.MULTILINE)
_LITERAL = re.compile(r"``([^`]+)``")


def _blocks(page: str, language: str, containing: str = "") -> list[str]:
    return [
        textwrap.dedent(text).strip() + "\n"
        for kind, text in _BLOCK.findall(_PAGES[page])
        if kind == language and containing in text
    ]


def _block(page: str, language: str, containing: str) -> str:
    (found,) = _blocks(page, language, containing)
    return found


def _commands() -> Iterator[list[str]]:
    """Yield the words of every command that a person is told to type, as that person."""
    for page in _PAGES:
        for block in _blocks(page, "console"):
            for line in block.splitlines():
                if line.startswith(("$ ", "# ")):
                    yield shlex.split(line[2:].removeprefix("sudo -u glance-sync "))


def _calls() -> list[tuple[str, ...]]:
    """Return each call of the project's own tools."""
    calls = {(pathlib.Path(words[0]).name, *words[1:]) for words in _commands()}
    return sorted(call for call in calls if call[0] in _TOOLS)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=_ROOT, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("call", _calls(), ids=" ".join)
def test_a_command_exists_and_takes_the_options_that_are_shown(call: tuple[str, ...]) -> None:
    tool, *arguments = call
    words = 2 if arguments[0] in {"db", "orphan", "region"} else 1

    done = _run(str(_BIN / tool), *arguments[:words], "--help")

    assert done.returncode == 0, done.stderr
    for option in (word for word in arguments if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){option}\b", done.stdout), option


def test_every_command_of_an_operator_is_shown() -> None:
    shown = {call[1] for call in _calls() if call[0] == "glance-sync"}

    assert shown == {
        "status", "show", "explain", "retry", "sync", "reconcile", "verify",
        "adopt", "disown", "orphan", "summary", "agents", "events", "cancel", "pause", "resume",
        "complete",
    }


def test_the_readme_names_commands_that_exist() -> None:
    named = {
        literal.split()[1]
        for literal in _LITERAL.findall(_PAGES["README.rst"])
        if literal.startswith("glance-sync ")
    }

    assert named == {call[1] for call in _calls() if call[0] == "glance-sync"} - {
        "adopt", "disown", "complete",
    }


def test_the_readme_is_short() -> None:
    assert len(_PAGES["README.rst"].split()) <= 900


def test_the_programs_of_the_checkout_exist() -> None:
    programs = {words[0] for words in _commands() if words[0].startswith("tools/")}

    assert programs >= {"tools/demo.sh", "tools/test.sh", "tools/cloud/wipe"}
    assert all(os.access(_ROOT / program, os.X_OK) for program in programs)


def test_ci_runs_the_tests_that_are_named_and_takes_no_skip_for_a_pass(
    tmp_path: pathlib.Path,
) -> None:
    for directory in (".ci", "tools"):
        (tmp_path / directory).mkdir()
    shutil.copy(_ROOT / ".ci" / "run", tmp_path / ".ci")
    script = tmp_path / "tools" / "test.sh"
    script.write_text('#!/bin/sh\necho "$CI $*"\n')
    script.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}

    done = subprocess.run(
        ["bash", ".ci/run"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )

    assert done.stdout == "true \n"
    assert ["tools/test.sh"] in list(_commands())


def test_the_options_of_the_demo_exist() -> None:
    known = _run("tools/demo.sh", "--help").stdout
    page = _PAGES["demo.rst"]
    text = page[page.index("``tools/demo.sh --keep``") :].partition("\n\n")[0]

    shown = re.findall(r"--\w+", text)

    assert "--json" in shown
    assert all(option in known for option in shown if option != "--help")


def test_the_debian_packages_are_those_that_are_installed() -> None:
    found = (
        "${CLOUD_DEBIAN_PACKAGES[@]} tools/test.sh ${DATABASE_DEBIAN_PACKAGES[@]} "
        "${MONITORING_DEBIAN_PACKAGES[@]} ${BROWSER_DEBIAN_PACKAGES[@]}"
    )
    done = _run("bash", "-c", f'source tools/lib/bootstrap.sh; echo "{found}"')
    page = _PAGES["demo.rst"]
    text = page[page.index("* the Debian packages") : page.index("* two virtualenvs")]

    assert _LITERAL.findall(text) == done.stdout.split()


def test_sync_conf_is_read_without_complaint(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "sync.conf"
    path.write_text(_block("install.rst", "ini", "cascading_endpoint_url"))

    read = settings.load(
        sync_conf.parse([f"--config-file={path}"], prog="test", description="")
    )
    done = _run(
        str(_BIN / "oslo-config-validator"),
        "--config-file", "tools/config-generator/sync.conf", "--input-file", str(path),
    )

    assert read.cascading_endpoint_url == "http://controller:9292/"
    assert done.returncode == 0, done.stderr


def test_glance_store_yaml_makes_the_stores(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "glance_store.yaml"
    path.write_text(_block("install.rst", "yaml", "glances:"))

    for entry in store_file.load(path):
        context = stores.StoreContext(
            region=images.RegionId(entry.name),
            endpoint="http://192.0.2.12:9292",
            token=str,
            ssh=hosts.SshHosts(),
            known_hosts="/etc/glance/known_hosts",
        )
        for scheme in entry.schemes:
            assert scheme.name == "filesystem"
            filesystem.FilesystemStore.from_parameters(scheme.parameters, context)


def test_the_unit_of_systemd_starts_what_the_installation_makes() -> None:
    unit = _block("install.rst", "ini", "[Unit]")

    assert ["python3", "-m", "venv", "/opt/glance-sync-agent"] in list(_commands())
    assert "ExecStart=/opt/glance-sync-agent/bin/glance-sync-agent\n" in unit


def test_the_state_of_the_agent_is_where_the_installation_makes_it() -> None:
    (path,) = {one.default for one in options.GROUPS[None] if one.dest == "state_path"}
    unit = _block("install.rst", "ini", "[Unit]")

    made = " ".join(next(words for words in _commands() if words[-1] == path))

    assert made == f"install -d -o glance-sync -g glance-sync -m 0750 {path}"
    assert "User=glance-sync\nGroup=glance-sync\n" in unit
    assert f"StateDirectory={pathlib.Path(path).name}\nStateDirectoryMode=0750\n" in unit


def test_the_installation_of_the_readme_is_that_of_the_page() -> None:
    assert _block("README.rst", "console", "pip install") == _block(
        "install.rst", "console", "pip install"
    )


def test_check_prints_what_is_shown(cloud: clouds.Cloud, tmp_path: pathlib.Path) -> None:
    agent = running.Agent(cloud.describe(), tmp_path)
    databases.make(agent.directory)
    shown = _block("install.rst", "console", "manage check").splitlines()

    done = _run(*agent.command("glance-sync-manage", "check"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert [_form(line) for line in shown if line.startswith("OK ")] == [
        _form(line)
        for line in done.stdout.splitlines()
        if not line[:26].rstrip().endswith(("RegionThree", "RegionFour"))
    ]


def _form(line: str) -> str:
    """Return a line of ``check`` with names in the place of what differs from cloud to cloud."""
    for name, pattern in {
        "URL": r"http://[^\s,]+",
        "KEY": r"SHA256:\S{43}",
        "LOGIN": r"\S+@[^\s,]+(?=, ssh-)",
        "PATH": r"(?<= )/[^\s:]+",
        "BUS": r"(?<= )[\w.]+:\d+/\w*",
        "TARGETS": r"(?<=go to ).*",
        "MISSING": r"a start would copy to .*|no copy is missing",
        "COUNTS": r"\d+ copies, \d+ users' images .*",
        "SEEN": r"(?<=where )(no image is yet|image \S+ can be read)",
        "NUMBER": r"\d+(?= entries)|(?<=revision )\d+|(?<=API v2\.)\d+",
    }.items():
        line = re.sub(pattern, name, line)
    return line


def test_the_line_of_authorized_keys_is_the_one_that_the_test_cloud_uses(
    cloud: clouds.Cloud,
) -> None:
    region = cloud.describe().region("RegionTwo")
    used = (cloud.state_dir / "ssh" / region.name / "authorized_keys").read_text()

    line = _block("install.rst", "text", "port-forwarding").replace(
        "192.0.2.12:9292", f"{region.glance_host}:{region.glance_port}"
    )

    assert used.startswith(line.partition(" ssh-ed25519")[0] + " ssh-ed25519")


def test_the_line_for_reading_is_the_one_that_the_driver_is_tested_with() -> None:
    assert _block("install.rst", "text", "restrict,command").startswith(
        f'restrict,command="{fakes.READ_ONLY}" ssh-ed25519 '
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param(
            "PermitOpen", ["permitopen 192.0.2.12:9292", "allowtcpforwarding local"], id="writing"
        ),
        pytest.param(
            "ForceCommand internal-sftp",
            [f"forcecommand {fakes.READ_ONLY}", "allowtcpforwarding no"],
            id="reading",
        ),
    ],
)
def test_sshd_accepts_the_lines_for_its_configuration(
    tmp_path: pathlib.Path, kind: str, said: list[str]
) -> None:
    key = tmp_path / "host_key"
    assert _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)).returncode == 0
    config = tmp_path / "sshd_config"
    config.write_text(f"HostKey {key}\n{_block('install.rst', 'text', kind)}")

    done = _run(
        "/usr/sbin/sshd", "-T", "-f", str(config), "-C", "user=glance-sync,host=x,addr=192.0.2.1"
    )

    assert done.returncode == 0, done.stderr
    assert set(said) <= set(done.stdout.splitlines())


def test_every_option_that_is_mentioned_exists() -> None:
    known = {
        (group or "DEFAULT", option.dest)
        for group, found in options.GROUPS.items()
        for option in found
    }
    # DEFAULT is a group of Nova's, Cinder's and Glance's files as well.
    groups = {group for group, _ in known} - {"DEFAULT"}
    mentioned = set()
    for literal in _LITERAL.findall("\n".join(_PAGES.values())):
        match = re.match(r"\[(\w+)\]\s+(\w+)", literal)
        if match and match[1] in groups:
            mentioned.add((match[1], match[2]))
        elif literal in {"state_path", "sync_strategy"}:
            mentioned.add(("DEFAULT", literal))

    assert len(mentioned) >= 10
    assert mentioned <= known


def test_the_extras_that_are_named_can_be_installed() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(_ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    named = set(re.findall(r"\.\[(\w+)\]", _PAGES["install.rst"]))

    assert named == {"postgresql", "mysql"}
    assert extras["postgresql"].strip().startswith("psycopg[binary]>=")
    assert extras["mysql"].strip().startswith("PyMySQL>=")
    for name in named:
        assert extras[name].strip() in extras["test"].splitlines()


def test_who_adds_a_store_driver_is_told_what_check_looks_for() -> None:
    hacking = (_ROOT / "HACKING.rst").read_text()
    text = hacking[hacking.index("How to add a store driver") :]
    methods = {name for name in vars(store_checks.Probed) if name.startswith("probe_")}

    assert methods == {name for name in _LITERAL.findall(text) if name.startswith("probe_")}


def test_the_columns_of_status_are_those_that_are_shown() -> None:
    block = _block("README.rst", "console", "/glance-sync status\n")
    header = next(line for line in block.splitlines() if line.startswith("| image_id "))

    assert tuple(header.strip("| ").replace(" ", "").split("|")) == task_view.SHORT_COLUMNS
