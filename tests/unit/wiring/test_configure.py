# SPDX-License-Identifier: Apache-2.0
"""What is wrong in ``sync.conf`` shows at once, and ``interface`` reaches the catalogue."""

from concurrent import futures
import logging
import sys

from oslo_context import context
from oslo_log import formatters
import pytest

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.wiring import log_records
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import configure

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
    configuration = configure(["--config-file", str(path)], prog="test", description="")
    assert Cloud(configuration).catalogue._interface == interface


def test_an_interface_that_does_not_exist_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "sync.conf"
    path.write_text(CONF + "interface = private")
    with pytest.raises(errors.ConfigurationError, match="private"):
        configure(["--config-file", str(path)], prog="test", description="")


def test_all_bad_values_are_named_at_once(tmp_path):
    path = tmp_path / "sync.conf"
    path.write_text(CONF + "interface = private\ntimeout = soon\n[transfer]\nlease_seconds = 1\n")
    with pytest.raises(errors.ConfigurationError) as caught:
        configure(["--config-file", str(path)], prog="test", description="")
    said = str(caught.value).splitlines()
    assert len(said) == 3
    assert all(one.startswith(f"{path}: ") for one in said)


@pytest.fixture
def formatted(tmp_path):
    """Return a function that formats a warning of an except block as oslo.log does."""
    path = tmp_path / "sync.conf"
    path.write_text(CONF)
    configuration = configure(["--config-file", str(path)], prog="test", description="")
    formatter = formatters.ContextFormatter(config=configuration.conf)

    def format_one(factory, *, with_traceback=False):
        try:
            raise OSError("no disk")
        except OSError:
            caught = sys.exc_info() if with_traceback else None
            record = factory("name", logging.WARNING, "path", 1, "a line", (), caught)
            return formatter.format(record)

    yield format_one
    logging.setLogRecordFactory(logging.LogRecord)


def test_oslo_log_appends_the_exception_in_hand_to_records_that_are_not_ours(formatted):
    # If this fails, oslo.log has changed, and PlainRecord may be superfluous.
    assert formatted(logging.LogRecord).endswith("a line: OSError: no disk")


def test_a_line_ends_with_its_message_unless_it_has_a_traceback(formatted):
    factory = logging.getLogRecordFactory()
    assert factory is log_records.PlainRecord
    assert formatted(factory).endswith(" a line")
    assert "a line: OSError: no disk\n" in formatted(factory, with_traceback=True)


def test_a_line_has_the_request_that_its_thread_works_on(formatted):
    factory = logging.getLogRecordFactory()
    own = "req-0f9a3c52-1d6e-4b7a-8c21-5e4d3f2a1b00"
    first = "req-11111111-2222-4333-8444-555555555555"
    assert formatted(factory).endswith(" [-] a line")
    with request_ids.serving(own):
        assert formatted(factory).endswith(f" [- {own} -] a line")
    with request_ids.serving(own, first):
        assert formatted(factory).endswith(f" [{first} {own} -] a line")


def test_what_a_library_leaves_in_a_thread_is_in_no_line(formatted):
    factory = logging.getLogRecordFactory()
    own = "req-0f9a3c52-1d6e-4b7a-8c21-5e4d3f2a1b00"

    def lines():
        context.RequestContext(request_id="req-of-a-library")
        yield formatted(logging.LogRecord)
        yield formatted(factory)
        with request_ids.serving(own):
            yield formatted(factory)

    # A context lasts as long as its thread.
    with futures.ThreadPoolExecutor(1) as pool:
        plain, without, within = pool.submit(lambda: list(lines())).result()
    assert "req-of-a-library" in plain
    assert without.endswith(" [-] a line")
    assert within.endswith(f" [- {own} -] a line")


def test_a_format_of_the_operator_that_names_the_exception_shows_that_there_is_none():
    record = log_records.PlainRecord("name", logging.WARNING, "path", 1, "a line", (), None)
    record.error_summary = "OSError: no disk"
    assert record.error_summary == ""
    record.error_summary = "-"
    assert vars(record)["error_summary"] == "-"
