# SPDX-License-Identifier: Apache-2.0
"""What ``check`` says of this machine's files and directories."""

import os
import pwd

import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import local_checks
from glance_sync_agent.conf import sync_conf
from glance_sync_agent.wiring.configuration import Configuration

OK, WARN, SKIP, FAIL = findings.Level

STORE = """\
glances:
  - name: RegionTwo
    schemes: [{name: filesystem, parameters: {login_user: glance%s}}]
"""


@pytest.fixture
def files(tmp_path):
    """Return a function that writes the files and checks them."""

    def look(text="", store_text=None, mode=0o640):
        conf_file = tmp_path / "sync.conf"
        conf_file.write_text(text)
        conf_file.chmod(mode)
        if store_text is not None:
            (tmp_path / "glance_store.yaml").write_text(store_text)
        conf = sync_conf.parse([f"--config-file={conf_file}"], prog="test", description="")
        return list(local_checks.files(Configuration(conf, lambda: conf)))

    return look


def test_good_files_are_ok(files):
    conf, store, rules = files(store_text=STORE % "")

    assert (conf.verdict, store.verdict, rules.verdict) == (OK, OK, OK)
    assert store.detail.endswith("1 entries")


@pytest.mark.parametrize(
    ("mode", "verdict"), [(0o600, OK), (0o640, OK), (0o644, WARN), (0o604, WARN)]
)
def test_a_file_that_everybody_may_read_is_warned_about(files, mode, verdict):
    conf, *_ = files(mode=mode)

    assert conf.verdict is verdict
    assert ("chmod o-rwx" in conf.remedy) is (verdict is WARN)


@pytest.mark.parametrize("text", ["sync_enabled = false", "sync_strategy = none"])
def test_an_agent_that_copies_nothing_is_warned_about(files, text):
    conf, *_ = files(f"[DEFAULT]\n{text}\n")

    assert conf.verdict is WARN
    assert "nothing is copied" in conf.detail
    assert text.partition(" ")[0] in conf.remedy


def test_an_absent_store_file_is_skipped(files):
    assert files()[1].verdict is SKIP


def test_a_broken_store_file_fails_with_its_name(files, tmp_path):
    _, store, _ = files(store_text="glances: 7")

    assert store.verdict is FAIL
    assert store.remedy == f"edit {tmp_path / 'glance_store.yaml'}"


def test_a_password_is_warned_about_and_not_shown(files):
    _, store, _ = files(store_text=STORE % ", login_password: hidden")

    assert store.verdict is WARN
    assert "RegionTwo" in store.detail
    assert "hidden" not in findings.text(store)


def test_a_state_path_that_can_be_written_is_ok(tmp_path):
    assert local_checks.state_path(tmp_path).verdict is OK


def test_a_state_path_that_can_be_made_is_ok(tmp_path):
    found = local_checks.state_path(tmp_path / "a" / "b")

    assert found.verdict is OK
    assert not (tmp_path / "a").exists()


def test_a_state_path_that_is_a_file_fails(tmp_path):
    (tmp_path / "file").write_text("")

    found = local_checks.state_path(tmp_path / "file")

    assert found.verdict is FAIL
    assert "state_path" in found.remedy


@pytest.mark.parametrize("name", ["", "absent"])
def test_a_state_path_that_we_may_not_write_fails(monkeypatch, tmp_path, name):
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write anywhere

    found = local_checks.state_path(tmp_path / name)

    assert found.verdict is FAIL
    assert f"install -d -o USER -m 0750 {tmp_path / name}" in found.remedy


@pytest.mark.parametrize("user_id", [1, 4711])
def test_root_is_advised_to_check_as_the_agents_user(monkeypatch, tmp_path, user_id):
    if os.geteuid() == 0:
        os.chown(tmp_path, user_id, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    found = local_checks.state_path(tmp_path)

    assert found.verdict is WARN
    owner = shown(tmp_path.stat().st_uid)
    assert found.remedy == f"sudo -u {owner} glance-sync-manage check"


def shown(user_id):
    """Return a user as sudo takes it; 4711 has no name."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"'#{user_id}'"


def test_an_error_is_a_finding_with_what_to_do():
    def probe():
        raise errors.ServiceUnavailable("no answer")

    found = findings.check("bus", probe, lambda exc: f"mend: {exc}")

    assert found == findings.failure("bus", "no answer", "mend: no answer")


def test_what_a_probe_returns_is_good_news_unless_it_is_a_finding():
    warning = findings.warning("bus", "slow", "hurry")

    assert findings.check("bus", lambda: "fine", str).verdict is OK
    assert findings.check("bus", lambda: warning, str) is warning


@pytest.mark.parametrize(
    ("finding", "lines"),
    [
        (findings.skipped("bus", "why"), ["SKIP  bus                  why"]),
        (
            findings.failure("bus", "one\ntwo", "mend it"),
            ["FAIL  bus                  one", "      two", "      -> mend it"],
        ),
    ],
)
def test_a_finding_is_a_line_with_its_remedy_below(finding, lines):
    assert findings.text(finding).splitlines() == lines


@pytest.mark.parametrize(
    ("chosen", "verdict", "said"),
    [("USER", OK, "1 rules"), ("ALL", OK, "unused unless sync_strategy = USER")],
)
def test_rules_are_counted(files, tmp_path, chosen, verdict, said):
    (tmp_path / "sync_strategy.yaml").write_text("rules: [{regions: '*'}]")
    *_, rules = files(f"[DEFAULT]\nsync_strategy = {chosen}\n")
    assert rules.verdict is verdict
    assert said in rules.detail


@pytest.mark.parametrize(
    ("chosen", "verdict", "said"),
    [("USER", SKIP, "endpoint filter decide"), ("ALL", OK, "only sync_strategy = USER")],
)
def test_rules_may_be_absent(files, chosen, verdict, said):
    *_, rules = files(f"[DEFAULT]\nsync_strategy = {chosen}\n")
    assert rules.verdict is verdict
    assert said in rules.detail
