# SPDX-License-Identifier: Apache-2.0
"""The report that a signal asks for."""

import contextlib
import os
import signal
import sys

from oslo_config import cfg
import pytest

import glance_sync_agent
from glance_sync_agent.cmd.daemon import meditation


@pytest.fixture
def conf():
    made = cfg.ConfigOpts()
    made.register_opts([
        cfg.StrOpt("password", secret=True),
        cfg.StrOpt("region"),
        # As oslo.messaging has it for Kafka.
        cfg.StrOpt("ssl_client_key_password", default="battery"),
        cfg.StrOpt("endpoint", default="https://glance:staple@two.example/v2"),
    ])
    made([], default_config_files=[], default_config_dirs=[])
    made.set_override("password", "correct horse")
    made.set_override("region", "RegionTwo")
    before = signal.getsignal(signal.SIGUSR2)
    yield made
    signal.signal(signal.SIGUSR2, before)


def test_the_report_shows_threads_version_and_options_without_secrets(conf, capsys):
    meditation.set_up(conf)
    meditation.set_up(conf)
    os.kill(os.getpid(), signal.SIGUSR2)
    said = capsys.readouterr().err
    assert glance_sync_agent.__version__ in said
    assert "test_the_report_shows_threads" in said
    assert said.count("Options of the agent") == 1
    assert "region = RegionTwo" in said
    assert "password = ***" in said
    assert "endpoint = https://***@two.example/v2" in said
    assert not [secret for secret in ("correct horse", "battery", "staple") if secret in said]


def test_a_standard_error_that_nobody_reads_ends_nothing(conf, monkeypatch):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w", buffering=1) as closed:
        monkeypatch.setattr(sys, "stderr", closed)
        meditation.set_up(conf)
        os.kill(os.getpid(), signal.SIGUSR2)
        monkeypatch.undo()
        with contextlib.suppress(BrokenPipeError):
            closed.close()
