# SPDX-License-Identifier: Apache-2.0
"""The request that a thread works on."""

import concurrent.futures

import pytest

from glance_sync_agent import request_ids

ONE = "req-0f9a3c52-1d6e-4b7a-8c21-5e4d3f2a1b00"
TWO = "req-11111111-2222-4333-8444-555555555555"


def served():
    found = request_ids.current()
    assert found is not None
    return found


def test_there_is_no_request_at_first_and_afterwards():
    assert request_ids.current() is None
    with request_ids.serving(ONE):
        assert request_ids.current() == request_ids.Served(request_id=ONE, global_id=ONE)
        with request_ids.serving(TWO, ONE):
            assert request_ids.current() == request_ids.Served(request_id=TWO, global_id=ONE)
        assert request_ids.of_call() == ONE
    assert request_ids.current() is None


def test_a_new_id_is_one_of_openstack_and_another_each_time():
    first, second = request_ids.of_call(), request_ids.new()
    assert first != second
    for one in (first, second):
        with request_ids.serving(one):
            assert served().request_id == one


def test_an_id_of_an_older_agent_becomes_one_of_openstack():
    with request_ids.serving("0f9a3c521d6e4b7a8c215e4d3f2a1b00"):
        assert served().global_id == ONE


@pytest.mark.parametrize("text", ["", "req-1", f"{ONE}\r\nX-Evil: 1", f"{ONE}\n", ONE.upper()])
def test_a_text_that_is_no_id_is_sent_nowhere(text):
    with request_ids.serving(text, ONE):
        assert request_ids.current() is None
    with request_ids.serving(ONE, text):
        assert served().global_id == ONE


def test_threads_have_requests_of_their_own():
    with request_ids.serving(ONE), concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(request_ids.current).result() is None
