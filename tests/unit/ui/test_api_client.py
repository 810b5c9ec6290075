# SPDX-License-Identifier: Apache-2.0
"""What the page tells the API about the browser whose user asks."""

from typing import Any

from glance_sync_agent.ui.api_client import ApiClient


def test_the_api_knows_the_browser_and_not_only_the_page():
    seen: list[dict[str, Any]] = []

    def application(environ, start_response):
        seen.append(environ)
        start_response("200 OK", [])
        return [b"{}"]

    browser = {"REMOTE_ADDR": "192.0.2.9", "HTTP_USER_AGENT": "lynx"}
    assert ApiClient(application, "token", browser).get("regions") == {}
    assert seen[0]["REMOTE_ADDR"] == "192.0.2.9"
    assert seen[0]["HTTP_USER_AGENT"] == "lynx"
    assert seen[0]["HTTP_X_AUTH_TOKEN"] == "token"
