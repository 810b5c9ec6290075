# SPDX-License-Identifier: Apache-2.0
"""The page before an API on a cloud in memory."""

from concurrent import futures
from importlib import resources
import json
import re
import threading
import urllib.parse

import markupsafe
import pytest

from glance_sync_agent import errors
from glance_sync_agent.api import policies
from glance_sync_agent.domain import jobs
from glance_sync_agent.ui import reads
from glance_sync_agent.ui import sessions
from glance_sync_agent.ui import writes
from tests.fakes import world as worlds
from tests.unit.api import test_application
from tests.unit.ui import stages

TWO, THREE = worlds.CASCADED
ABSENT = test_application.UNKNOWN
VIEWS = [
    "/ui/", "/ui/images", "/ui/failures", "/ui/scans", "/ui/verifications", "/ui/orphans",
    "/ui/agents",
]
HOSTILE_NAME = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"


@pytest.fixture
def stage():
    return stages.Stage()


@pytest.fixture
def logged_in(stage):
    assert stage.log_in(project="admin").status_code == 303
    return stage


def shown(answer, status=200):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


# Logging in.


def test_whoever_has_not_logged_in_is_led_to_the_form_and_back(stage):
    answer = stage.get("/ui/images", query_string="status=failure")
    assert answer.status_code == 303
    there = urllib.parse.urlsplit(answer.headers["location"])
    assert there.path == "/ui/log-in"
    form = shown(stage.get(there.path, query_string=there.query))
    assert 'value="images?status=failure"' in form
    answer = stage.post(
        "/ui/log-in",
        {"user": "admin", "password": "secret", "next": "images?status=failure"},
    )
    assert answer.headers["location"] == "/ui/images?status=failure"
    assert stage.calls == []


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "a\r\nX: 1", "?x"]
)
def test_a_log_in_leads_to_no_other_site(stage, path):
    answer = stage.log_in(next=path)
    location = answer.headers["location"]
    assert location.startswith("/ui/")
    assert urllib.parse.urlsplit(location).netloc == ""
    assert "\r" not in location


def test_the_cookie_holds_the_token_and_hides_it(stage):
    answer = stage.log_in(project="demo")
    cookie = answer.cookies[stages.COOKIE]
    assert cookie.http_only
    assert cookie.same_site == "Strict"
    assert not cookie.secure
    assert cookie.path == "/ui/"
    assert cookie.max_age == 3600
    assert "token-admin" not in cookie.value
    session = stage.session()
    assert (session.token, session.user, session.scope) == ("token-admin", "admin", "demo")
    assert "token-admin" not in repr(session)


def test_the_cookie_is_secure_under_tls(stage):
    stage.get("/ui/log-in", protocol="https")
    answer = stage.post(
        "/ui/log-in",
        {"user": "admin", "password": "secret"},
        headers={"Origin": f"https://{stages.HOST}"},
        protocol="https",
    )
    assert answer.status_code == 303
    assert answer.cookies[stages.COOKIE].secure


def test_a_prefix_of_a_proxy_is_kept(stage):
    answer = stage.get("/ui/images", root_path="/sync")
    assert answer.headers["location"] == "/sync/ui/log-in?next=images"
    answer = stage.get("/ui/log-in", root_path="/sync")
    assert 'action="/sync/ui/log-in"' in answer.text
    assert answer.cookies[stages.COOKIE].path == "/sync/ui/"


def test_a_project_may_be_left_out(stage):
    stage.log_in(domain="")
    assert stage.log_ins.asked == [
        {"user": "admin", "domain": "Default", "project": "", "project_domain": "Default"}
    ]


def test_a_wrong_password_is_refused_and_not_shown_again(stage):
    answer = stage.log_in(password="hunter2", project="demo")
    text = shown(answer, 403)
    assert "Keystone refused this" in text
    assert "hunter2" not in text
    assert 'value="demo"' in text
    assert stage.session().token is None


def test_a_keystone_that_does_not_answer_is_named_without_its_address(stage):
    stage.log_ins.is_down = True
    answer = stage.log_in()
    assert "Keystone does not answer" in shown(answer, 503)
    assert "keystone.internal" not in answer.text
    assert answer.headers["retry-after"] == "10"


def test_an_outage_of_keystone_locks_nobody_out(stage):
    stage.log_ins.is_down = True
    for _ in range(30):
        assert stage.log_in().status_code == 503
    stage.log_ins.is_down = False
    assert stage.log_in().status_code == 303


def test_the_form_in_another_window_stays_good(stage):
    stage.get("/ui/log-in")
    first = stage.session()
    stage.time += 10
    stage.get("/ui/log-in")
    assert stage.session() == first
    answer = stage.log_in(csrf=first.csrf)
    assert answer.status_code == 303
    assert stage.session().csrf != first.csrf


def test_log_ins_for_one_user_are_throttled(stage):
    for _ in range(8):
        assert stage.log_in(password="wrong").status_code == 403
    answer = stage.log_in()
    assert "Too many tries" in shown(answer, 429)
    assert answer.headers["retry-after"] == "300"
    assert len(stage.log_ins.asked) == 8
    assert stage.log_in("member").status_code == 303
    stage.clock = 301
    assert stage.log_in().status_code == 303


def test_log_ins_from_one_address_are_throttled(stage):
    for number in range(20):
        stage.log_in(f"user-{number}", password="wrong")
    answer = stage.log_in()
    assert answer.status_code == 429
    stage.get("/ui/log-in")
    form = {"user": "admin", "password": "secret"}
    elsewhere = stage.post("/ui/log-in", form, remote_addr="192.0.2.9")
    assert elsewhere.status_code == 303


def test_addresses_that_a_client_made_up_before_a_proxy_give_no_more_tries(stage):
    for number in range(20):
        stage.log_in(f"user-{number}", password="wrong")
    stage.get("/ui/log-in")
    form = {"user": "admin", "password": "secret"}
    own = stage.post("/ui/log-in", form, remote_addr="198.51.100.7, 127.0.0.1")
    assert own.status_code == 429
    elsewhere = stage.post("/ui/log-in", form, remote_addr="127.0.0.1, 192.0.2.9")
    assert elsewhere.status_code == 303


def test_few_log_ins_at_once_wait_for_keystone(stage):
    stage.get("/ui/log-in")
    waiting, release = threading.Semaphore(0), threading.Event()

    def log_in(*_names, **_scope):
        waiting.release()
        release.wait(20)
        raise errors.Refused("no")

    stage.log_ins.log_in = log_in
    form = {"user": "admin", "password": "secret"}
    with futures.ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(stage.post, "/ui/log-in", form) for _ in range(4)]
        for _ in sent:
            assert waiting.acquire(timeout=20)
        shown(stage.post("/ui/log-in", form), 503)
        release.set()
    assert [one.result().status_code for one in sent] == [403] * 4


def test_a_log_out_revokes_the_token(logged_in):
    cookie = logged_in.cookie
    assert logged_in.post("/ui/log-out", {}).headers["location"] == "/ui/log-in"
    assert logged_in.log_ins.revoked == ["token-admin"]
    assert logged_in.cookie is None
    assert logged_in.get("/ui/").status_code == 303
    logged_in.cookie = cookie  # of somebody who kept it
    assert logged_in.get("/ui/").status_code == 303


def test_a_log_out_works_without_keystone(logged_in):
    logged_in.log_ins.is_down = True
    assert logged_in.post("/ui/log-out", {}).status_code == 303
    assert logged_in.cookie is None


def test_a_session_ends_with_its_token(logged_in):
    logged_in.time += 3601
    assert logged_in.get("/ui/").status_code == 303
    assert logged_in.get("/ui/data/").status_code == 401


def test_a_cookie_that_was_changed_is_no_session(logged_in):
    good = logged_in.cookie
    changed = ("B" if good[20] == "A" else "A").join((good[:20], good[21:]))
    other = sessions.Sealer("x" * 32).seal(logged_in.session())
    for cookie in (changed, other, "", "x", good[:-1], "é"):
        logged_in.cookie = cookie
        assert logged_in.get("/ui/").status_code == 303, cookie
        assert logged_in.get("/ui/data/").status_code == 401


def test_a_token_that_keystone_revoked_ends_the_session(logged_in, monkeypatch):
    monkeypatch.delitem(stages.ROLES, "token-admin")
    assert logged_in.get("/ui/data/").status_code == 401
    assert logged_in.cookie is None


def test_a_page_of_a_revoked_token_leads_to_the_form(logged_in, monkeypatch):
    monkeypatch.delitem(stages.ROLES, "token-admin")
    answer = logged_in.get("/ui/failures")
    assert answer.headers["location"] == "/ui/log-in?next=failures"


def test_a_link_from_another_site_is_opened_again_with_the_cookie(stage):
    answer = stage.get("/ui/images", headers={"Sec-Fetch-Site": "cross-site"})
    assert 'http-equiv="refresh"' in shown(answer)
    assert stages.COOKIE not in answer.cookies
    answer = stage.get("/ui/data/images", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 401


def test_a_link_to_the_form_leaves_the_session_that_there_is(stage):
    answer = stage.get("/ui/log-in", headers={"Sec-Fetch-Site": "cross-site"})
    assert 'http-equiv="refresh"' in shown(answer)
    assert stages.COOKIE not in answer.cookies


def test_a_form_of_a_revoked_token_leads_back_to_no_form(logged_in, monkeypatch):
    monkeypatch.delitem(stages.ROLES, "token-admin")
    answer = logged_in.post("/ui/regions/resume", {"region": TWO})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/log-in")


# Forms.


@pytest.mark.parametrize("path", [one.path for one in writes.ALL] + ["/log-out"])
@pytest.mark.parametrize(
    ("csrf", "origin"),
    [
        ("", stages.ORIGIN),
        ("wrong", stages.ORIGIN),
        ("é", stages.ORIGIN),
        (None, None),
        (None, "null"),
        (None, "http://evil.example"),
        (None, f"https://{stages.HOST}"),
        (None, f"{stages.ORIGIN}:8080"),
    ],
)
def test_a_form_of_another_site_changes_nothing(logged_in, path, csrf, origin):
    logged_in.calls.clear()
    form = {"region": TWO, "reason": "x", "code": "gave_up"}
    answer = logged_in.post(
        f"/ui{path.format(image_id=ABSENT, job_id=ABSENT)}",
        form if csrf is None else {**form, "csrf": csrf},
        headers={"Origin": origin} if origin else {"Origin": ""},
    )
    shown(answer, 403)
    assert logged_in.calls == []
    assert logged_in.log_ins.revoked == []


def test_a_log_in_from_another_site_is_refused(stage):
    stage.get("/ui/log-in")
    form = {"user": "admin", "password": "secret"}
    answer = stage.post("/ui/log-in", form, headers={"Origin": "http://evil.example"})
    assert "http://evil.example" in shown(answer, 403)
    assert stage.post("/ui/log-in", {**form, "csrf": "x"}).status_code == 403
    assert stage.log_ins.asked == []


def test_a_form_needs_a_session(stage):
    answer = stage.post("/ui/regions/pause", {"region": TWO, "reason": "x"})
    assert answer.headers["location"] == "/ui/log-in"
    assert stage.calls == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 403),
    ],
)
def test_a_strange_form_is_refused(logged_in, body, kind, status):
    headers = {"Origin": stages.ORIGIN, "Content-Type": kind}
    shown(logged_in.ask("POST", "/ui/regions/pause", body=body, headers=headers), status)


def test_a_region_is_paused_and_resumed(logged_in):
    form = {"region": TWO, "reason": "new disks", "finish": "yes"}
    answer = logged_in.post("/ui/regions/pause", form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/?done=paused")
    pause = logged_in.world.pauses.all()[TWO]
    assert (pause.reason, pause.finishes) == ("new disks", True)
    assert pause.by == "alice (alice)"
    text = shown(logged_in.get("/ui/", query_string="done=paused"))
    assert "The region is paused." in text
    assert "new disks" in text
    logged_in.post("/ui/regions/resume", {"region": TWO})
    assert not logged_in.world.pauses.all()


def test_a_pause_window_can_be_lengthened_and_not_ended(logged_in):
    logged_in.world.open_window()
    text = shown(logged_in.get("/ui/"))
    forms = re.findall("<form[^>]*regions/resume[^>]*>", text)
    assert all(" hidden" in one for one in forms)
    details = re.findall("<details[^>]*hide=may_resume[^>]*>", text)
    assert sum(" hidden" not in one for one in details) >= len([TWO, THREE])
    answer = logged_in.post("/ui/regions/resume", {"region": TWO})
    assert answer.headers["location"] == "/ui/?done=window_open"
    assert "until it ends" in shown(logged_in.get("/ui/", query_string="done=window_open"))


def test_a_pause_without_a_reason_says_so(logged_in):
    text = shown(logged_in.post("/ui/regions/pause", {"region": TWO}), 400)
    assert "reason" in text
    assert not logged_in.world.pauses.all()


@pytest.mark.parametrize("region", ["", "Nowhere", "a/b", "../summary", "é\x00", "x" * 5000])
def test_an_unknown_region_is_not_paused(logged_in, region):
    form = {"region": region, "reason": "x"}
    assert logged_in.post("/ui/regions/pause", form).status_code in {400, 404, 405}


def test_a_reason_that_is_too_long_is_refused(logged_in):
    form = {"region": TWO, "reason": "x" * 5000}
    assert logged_in.post("/ui/regions/pause", form).status_code == 400
    assert not logged_in.world.pauses.all()


def test_many_regions_are_all_sent(logged_in):
    # A list that was dropped would mean all regions.
    form = {"region": "\n".join(f"Region-{number:04}" for number in range(600))}
    assert logged_in.post("/ui/scans/start", form).status_code == 400
    assert not logged_in.world.jobs.newest(jobs.JobKind.SCAN, 1)


def test_an_image_is_requested_retried_and_cancelled(logged_in):
    image = logged_in.api.publish()
    path = f"/ui/images/{image.image_id}"
    answer = logged_in.post(f"{path}/cancel", {"region": TWO})
    assert answer.headers["location"] == f"{path}?done=cancelled"
    codes = {one.key.region: one.code.value for one in logged_in.world.store.list()}
    assert codes == {TWO: "cancelled", THREE: "requested"}
    assert logged_in.post(f"{path}/retry", {}).headers["location"].endswith("done=retried")
    assert logged_in.post(f"{path}/sync", {}).headers["location"].endswith("done=synced")
    assert {one.status.value for one in logged_in.world.store.list()} == {"pending"}


def test_failures_with_one_reason_are_retried(logged_in):
    image = logged_in.api.publish()
    logged_in.post(f"/ui/images/{image.image_id}/cancel", {})
    logged_in.world.run()
    text = shown(logged_in.get("/ui/failures"))
    assert re.search(r">2</span> . <span[^>]*>cancelled<", text)
    answer = logged_in.post("/ui/failures/retry", {"code": "cancelled"})
    assert answer.headers["location"] == "/ui/failures?done=retried_all"
    assert {one.status.value for one in logged_in.world.store.list()} == {"pending"}
    assert logged_in.post("/ui/failures/retry", {"code": ""}).status_code == 400


# Pages.


@pytest.mark.parametrize("path", VIEWS)
def test_every_page_shows_an_empty_cloud(logged_in, path):
    text = shown(logged_in.get(path))
    assert "<h1>" in text
    assert "token-admin" not in text


def test_every_view_is_a_page_and_json_and_its_parts_are_the_same(logged_in):
    image = logged_in.api.publish(name="golden")
    logged_in.world.run()
    logged_in.api.publish(name="waiting")
    found = planned(logged_in)
    for view in reads.ALL:
        path = path_of(view, image, found)
        shown(logged_in.get(f"/ui{path}"))
        answer = logged_in.get(f"/ui/data{path}")
        if view.every is None:
            assert answer.status_code == 404
            continue
        assert answer.status_code == 200
        again = logged_in.get(f"/ui/data{path}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.text) == (304, "")
        for name, items in answer.json.items():
            if isinstance(items, list):
                keys = [one["key"] for one in items]
                assert len(keys) == len(set(keys)), name


def path_of(view, image, jobs):
    """Return the path of a view of these."""
    job = jobs.get(view.path.split("/")[1], {"key": ""})
    path = view.path.replace("{image_id:uuid}", image.image_id)
    return path.replace("{job_id:uuid}", job["key"])


def planned(stage):
    """Let an agent run a scan and a verification; return both as the page lists them."""
    for name in ("scans", "verifications"):
        stage.post(f"/ui/{name}/start", {"dry_run": "yes"})
    stage.world.scan_runner.run()
    stage.world.verification_runner.run()
    return {
        name: stage.get(f"/ui/data/{name}").json["jobs"][0] for name in ("scans", "verifications")
    }


def test_an_image_is_shown_with_its_copies_its_history_and_its_place(logged_in):
    image = logged_in.api.publish(name="golden")
    logged_in.world.run()
    text = shown(logged_in.get(f"/ui/images/{image.image_id}"))
    for word in ("golden", "in sync", "copied", TWO, THREE, "Where it belongs", "ALL"):
        assert word in text, word


def test_an_image_whose_source_is_unknown_now_is_shown_without_its_place(logged_in):
    image = logged_in.api.publish(name="golden")
    logged_in.world.run()
    logged_in.world.source.delete(logged_in.world.source.get_record(image.image_id))
    text = shown(logged_in.get(f"/ui/images/{image.image_id}"))
    assert "This is unknown now" in text
    shown(logged_in.get(f"/ui/images/{ABSENT}"), 404)


def test_a_running_copy_shows_its_progress(logged_in):
    image = logged_in.api.publish()
    logged_in.api.publish()
    found = logged_in.get("/ui/data/images").json["images"]
    assert {one["word"] for row in found for one in row["cells"]} == {"requested"}
    [waiting] = [one for one in found if one["key"] == image.image_id]
    assert [one["region"] for one in waiting["cells"]] == sorted([TWO, THREE])


def test_a_region_for_which_nothing_was_requested_is_shown_so(logged_in):
    image = logged_in.world.source.publish(b"1")
    logged_in.post(f"/ui/images/{image.image_id}/sync", {"region": TWO})
    [row] = logged_in.get("/ui/data/images").json["images"]
    assert {one["region"]: one["word"] for one in row["cells"]} == {
        TWO: "requested", THREE: "not requested",
    }


def test_the_matrix_has_filters_and_pages(logged_in):
    ids = sorted(logged_in.api.publish(name=f"n{one}").image_id for one in range(51))
    logged_in.world.run()
    first = logged_in.get("/ui/data/images").json
    assert [one["key"] for one in first["images"]] == ids[:50]
    assert first["first"] is None
    path, _, query = first["next"].partition("?")
    second = logged_in.get(f"/ui/data/{path}", query_string=query).json
    assert [one["key"] for one in second["images"]] == ids[50:]
    assert (second["next"], second["first"]) == (None, "images")
    named = logged_in.get("/ui/data/images", query_string="name=n7&status=success").json
    assert [one["name"] for one in named["images"]] == ["n7"]
    text = shown(logged_in.get("/ui/images", query_string=f"name=none&region={THREE}"))
    assert f"<option selected>{THREE}</option>" in text


def test_a_name_that_is_html_is_a_text(logged_in):
    image = logged_in.api.publish(name=HOSTILE_NAME)
    logged_in.world.run()
    for path in ("/ui/images", f"/ui/images/{image.image_id}"):
        text = shown(logged_in.get(path))
        assert "<script>alert" not in text
        assert "<img" not in text
        assert str(markupsafe.escape(HOSTILE_NAME)) in text
    query = urllib.parse.urlencode({"name": HOSTILE_NAME})
    assert "<script>alert" not in shown(logged_in.get("/ui/images", query_string=query))


@pytest.mark.parametrize(
    "query",
    [
        "status=<script>", "status=x", "marker=../..", "limit=9", "name=%00", "name=%ff%fe",
        "name=a&name=b", "status=", "code=%F0%9F%92%A9", "region=%ED%A0%80", "x=1", "&&&=&",
        "name=" + "x" * 3000, "marker=" + "9" * 40, "done=<b>", "id=", "id=x",
    ],
)
def test_a_hostile_query_is_no_crash_and_no_markup(logged_in, query):
    for path in [*VIEWS, f"/ui/images/{ABSENT}", "/ui/images/find", "/ui/log-in"]:
        answer = logged_in.get(path, query_string=query)
        assert answer.status_code < 500, (path, answer.text)
        assert "<script>" not in answer.text
        assert "<b>" not in answer.text
    for path in ("/ui/data/", "/ui/data/images"):
        assert logged_in.get(path, query_string=query).status_code < 500


@pytest.mark.parametrize(
    "path",
    ["/ui/nowhere", "/ui/images/x", "/ui/images/../regions", "/ui/static/x", "/ui/static/../x"],
)
def test_what_is_not_there_is_a_page(logged_in, path):
    shown(logged_in.get(path), 404)
    shown(logged_in.ask("DELETE", "/ui/"), 405)


def test_an_image_is_found_by_its_id(logged_in):
    image = logged_in.api.publish()
    answer = logged_in.get("/ui/images/find", query_string=f"id=%20{image.image_id}")
    assert answer.headers["location"] == f"/ui/images/{image.image_id}"


def test_a_user_without_a_role_for_all_looks_at_single_images_that_exist(stage):
    image, hidden = stage.api.publish(name="mine"), stage.api.publish()
    stage.world.run()
    stage.api.visible.add(image.image_id)
    assert stage.log_in("member", project="demo").status_code == 303
    for path in VIEWS:
        text = shown(stage.get(path), 403)
        assert "single images" in text
        assert "/ui/images/find" in text
    text = shown(stage.get(f"/ui/images/{image.image_id}"))
    assert "mine" in text
    assert "History" not in text
    shown(stage.get(f"/ui/images/{hidden.image_id}"), 404)
    assert stage.get(f"/ui/data/images/{image.image_id}").json["events"] is None
    stage.api.visible.clear()  # its source is deleted
    shown(stage.get(f"/ui/images/{image.image_id}"), 404)
    shown(stage.post(f"/ui/images/{image.image_id}/cancel", {}), 403)


def test_a_reader_sees_all_and_no_form_that_changes_something(logged_in, monkeypatch):
    image = logged_in.api.publish()
    logged_in.post(f"/ui/images/{image.image_id}/cancel", {"region": TWO})
    found = planned(logged_in)
    pages = [f"/ui{path_of(view, image, found)}" for view in reads.ALL]
    without_forms = {path for path in pages if _actions(shown(logged_in.get(path))) == set()}
    assert without_forms == {"/ui/images", "/ui/orphans", "/ui/agents"}
    logged_in.cookie = None
    assert logged_in.log_in("reader").status_code == 303
    for path in pages:
        assert _actions(shown(logged_in.get(path))) == set(), path
    monkeypatch.setitem(stages.ROLES, "token-reader", "admin")  # somebody grants it
    assert _actions(shown(logged_in.get("/ui/"))) == {"/ui/regions/pause", "/ui/regions/resume"}


def _actions(text):
    """Return where the forms of a page are sent that change something."""
    found = re.findall(r'method="post" action="([^"]*)"', text)
    return set(found) - {"/ui/log-out"}


def test_a_button_of_roles_that_are_gone_says_so(logged_in, monkeypatch):
    image = logged_in.api.publish()
    monkeypatch.setitem(stages.ROLES, "token-admin", "reader")
    text = shown(logged_in.post(f"/ui/images/{image.image_id}/cancel", {}), 403)
    sentence = "the rule image_sync:images:change does not allow this to your roles."
    assert sentence in text
    assert "single images" not in text


def test_every_rule_that_a_template_names_is_one_of_the_policies():
    folder = resources.files("glance_sync_agent.ui") / "templates"
    texts = "".join(one.read_text() for one in folder.iterdir())
    found = set(re.findall(r"image_sync:[\w:]+", texts))
    assert found == {
        one.name for one in policies.list_rules() if one.name.endswith(":change")
    }


def test_an_api_that_does_not_answer_is_a_page(logged_in):
    logged_in.world.catalogue.is_down = True
    logged_in.world.store.is_down = True
    text = shown(logged_in.get("/ui/"), 503)
    assert "does not answer" in text


def test_a_bug_is_a_page_that_says_nothing(logged_in, caplog):
    logged_in.broken = RuntimeError("token-admin")
    text = shown(logged_in.get("/ui/"), 500)
    assert "RuntimeError" not in text
    assert "A request for the page failed" in caplog.text


# Headers and files.


@pytest.mark.parametrize(
    "path", ["/ui/", "/ui/log-in", "/ui/nowhere", "/ui/data/", "/ui/static/page.js"]
)
def test_every_answer_has_the_headers_that_protect_it(logged_in, path):
    headers = logged_in.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize("name", ["page.css", "page.js", "icon.svg"])
def test_files_are_kept_by_the_browser_and_asked_about(stage, name):
    answer = stage.get(f"/ui/static/{name}")
    assert answer.status_code == 200
    tag = answer.headers["etag"]
    again = stage.get(f"/ui/static/{name}", headers={"If-None-Match": tag})
    assert (again.status_code, again.text) == (304, "")


def test_no_page_has_inline_code_or_anything_from_elsewhere(logged_in):
    image = logged_in.api.publish()
    pages = [logged_in.get(path).text for path in [*VIEWS, f"/ui/images/{image.image_id}"]]
    logged_in.cookie = None
    pages.append(logged_in.get("/ui/log-in").text)
    for text in pages:
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", text)
        assert not re.search(r"<script(?![^>]* src=\"/ui/static/)", text)
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text)


def test_what_is_not_the_pages_is_the_apis(stage):
    assert stage.get("/ui").headers["location"] == "/ui/"
    answer = stage.get("/uix")
    assert json.loads(answer.text)["error"]["code"] == 404
    assert stage.get("/v1").json["version"]["id"] == "v1.0"


def test_every_binding_of_the_templates_has_a_writer_in_the_module(logged_in):
    module = logged_in.get("/ui/static/page.js").text
    writers = set(re.findall(r"^  (\w+): ", module, re.MULTILINE))
    image = logged_in.api.publish()
    for path in [*VIEWS, f"/ui/images/{image.image_id}"]:
        for bound in re.findall(r'data-bind="([^"]*)"', logged_in.get(path).text):
            used = {one.partition("=")[0] for one in bound.split()}
            assert used <= writers, bound


def test_the_id_of_an_image_is_parsed(logged_in):
    image = logged_in.api.publish()
    text = shown(logged_in.get(f"/ui/images/{image.image_id.upper()}"))
    assert f"/ui/images/{image.image_id}/cancel" in text
    for path in (f"{{{image.image_id}x}}", f"{image.image_id}x", "%2e%2e"):
        shown(logged_in.get(f"/ui/images/{path}"), 404)


def _bound(text):
    """Return the fields that a page binds, without the copies for the module."""
    found = re.findall(r'data-bind="([^"]*)"', text)
    return {one.partition("=")[2] for bound in found for one in bound.split()} - {""}


def _fields(value):
    """Return the names of all fields in a view."""
    if isinstance(value, list):
        return set().union(*map(_fields, value))
    if isinstance(value, dict):
        return set(value).union(*map(_fields, value.values()))
    return set()


def test_every_bound_field_is_in_the_view(logged_in):
    image = logged_in.api.publish(name="golden")
    logged_in.post(f"/ui/images/{image.image_id}/cancel", {})
    logged_in.world.run()
    logged_in.api.publish()
    logged_in.world.source.publish(b"1")

    def fail(_name, _image_id):
        raise errors.ServiceUnavailable("down")

    logged_in.world.three.before = fail  # so the scan has a note
    found = planned(logged_in)
    logged_in.world.upkeep.run()
    logged_in.post("/ui/regions/pause", {"region": TWO, "reason": "x"})
    for view in reads.ALL:
        path = path_of(view, image, found)
        text = shown(logged_in.get(f"/ui{path}"))
        if view.every is None:
            assert _bound(text) == set()
            assert "page.js" not in text
            continue
        fields = _fields(logged_in.get(f"/ui/data{path}").json)
        if view.template == "verification.html":
            fields.add("text")  # of notes, which this verification has none of
        assert _bound(text) <= fields, path
