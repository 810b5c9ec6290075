# SPDX-License-Identifier: Apache-2.0
"""What is wrong in ``sync.conf`` shows at once, and ``interface`` reaches the catalogue."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent import wiring

CONF = """
[service_credentials]
auth_url = http://127.0.0.1:1/v3
username = agent
password = secret
"""


@pytest.mark.parametrize(
    ("line", "interface"), [("", "public"), ("interface = internal", "internal")]
)
def test_the_catalogue_is_read_for_the_chosen_interface(tmp_path, line, interface):
    path = tmp_path / "sync.conf"
    path.write_text(CONF + line)
    conf, current = wiring.configure(["--config-file", str(path)], prog="test", description="")
    assert wiring.Cloud(conf, current).catalogue._interface == interface


def test_an_interface_that_does_not_exist_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "sync.conf"
    path.write_text(CONF + "interface = private")
    with pytest.raises(errors.ConfigurationError, match="private"):
        wiring.configure(["--config-file", str(path)], prog="test", description="")


def test_all_bad_values_are_named_at_once(tmp_path):
    path = tmp_path / "sync.conf"
    path.write_text(CONF + "interface = private\ntimeout = soon\n[transfer]\nlease_seconds = 1\n")
    with pytest.raises(errors.ConfigurationError) as caught:
        wiring.configure(["--config-file", str(path)], prog="test", description="")
    said = str(caught.value).splitlines()
    assert len(said) == 3
    assert all(one.startswith(f"{path}: ") for one in said)
