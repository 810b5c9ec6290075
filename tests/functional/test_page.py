# SPDX-License-Identifier: Apache-2.0
"""The page of a real agent in a real browser, on the real cloud."""

from collections.abc import Callable, Iterator
import contextlib
from typing import Any
import uuid

from playwright import sync_api
import pytest

from tests.functional import browsers
from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tests.functional import valves
from tests.functional.test_api import Api
from tests.functional.test_api import lose_copy
from tools import cloud as clouds

MIB = 1024 * 1024
PLACES = ("RegionTwo", "RegionThree", "RegionFour")
MARKUP = "<b onmouseover=alert(1)>bold</b><script>alert(2)</script>"
expect = sync_api.expect

pytestmark = pytest.mark.slow


class Stage:
    """An agent with the page, which sends to RegionTwo as slowly as a test wants."""

    def __init__(
        self, agent: running.Agent, valve: valves.Valve, people: users.People
    ) -> None:
        self.agent = agent
        self.valve = valve
        self.people = people
        self.api = Api(agent, people)

    def publish(self, name: str, size: int = 1000, **fields: Any) -> str:
        """Publish an image and wait for its copies; return its id."""
        image_id = self.people.publish(name, size=size, **fields).image_id
        self.wait_for(image_id, dict.fromkeys(PLACES, "in_sync"))
        return image_id

    def begin_slowly(self, name: str) -> str:
        """Publish an image whose copy to RegionTwo takes long; return its id."""
        self.valve.slow_down(MIB // 2)
        image_id = self.people.publish(name, size=32 * MIB, visibility="community").image_id
        self.agent.wait_until(
            lambda: 0 < self._bytes_in_two(image_id) < 32 * MIB, "a transfer"
        )
        return image_id

    def _bytes_in_two(self, image_id: str) -> int:
        task = self.agent.tasks_of(image_id).get("RegionTwo")
        return 0 if task is None else task.bytes_done

    def wait_for(self, image_id: str, codes: dict[str, str]) -> None:
        """Wait until the tasks of an image have these codes."""

        def reached() -> bool:
            found = self.agent.tasks_of(image_id)
            return all(
                region in found and found[region].code.value == code
                for region, code in codes.items()
            )

        self.agent.wait_until(reached, f"{codes} of {image_id}", browsers.SECONDS)

    def begin_jobs(self) -> dict[str, str]:
        """Ask for a scan and a verification; return their ids."""
        return {
            one: self.api.ask("POST", f"/v1/{path}", json={"dry_run": True}).json()["id"]
            for one, path in (("SCAN", "scans"), ("VERIFICATION", "verifications"))
        }

    def user(self, name: str) -> clouds.User:
        """Return a user of the cloud."""
        return self.people.cloud.describe().user(name)


@pytest.fixture(scope="module")
def browser(missing_service) -> Iterator[sync_api.Browser]:
    with browsers.chromium(missing_service) as found:
        yield found


@pytest.fixture(scope="module")
def running_stage(cloud, keepers, tmp_path_factory) -> Iterator[Stage]:
    del keepers
    people = users.People(cloud, prefix="demo-")  # a name for pictures
    people.clean()  # what a test left that was killed
    described = cloud.describe()
    region = described.region("RegionTwo")
    valve = valves.Valve(region.ssh_host, region.ssh_port)
    agent = running.Agent(described, tmp_path_factory.mktemp("page") / "agent")
    conftest.lead_through(described, agent, valve, {"api": {"enabled": "true"}})
    try:
        agent.begin()
        yield Stage(agent, valve, people)
    finally:
        agent.close()
        valve.close()
        people.clean()


@pytest.fixture
def stage(running_stage) -> Iterator[Stage]:
    yield running_stage
    running_stage.valve.slow_down(None)
    for region in PLACES:
        running_stage.api.ask("PATCH", f"/v1/regions/{region}", json={"paused": False})


@pytest.fixture
def visit(browser, stage) -> Iterator[Callable[..., browsers.Visitor]]:
    """Give a way to look at the page with a new browser."""
    with contextlib.ExitStack() as stack:

        def make(user: str | None = "admin", **context: Any) -> browsers.Visitor:
            visitor = browsers.Visitor(browser, stage.api.url, **context)
            stack.callback(visitor.close)
            if user is not None:
                visitor.log_in(stage.user(user))
                expect(visitor.page.get_by_role("button", name="Log out")).to_be_visible()
            return visitor

        yield make


def cell(page: sync_api.Page, image_id: str, region: str) -> sync_api.Locator:
    """Return the state of a copy in the matrix."""
    return page.locator(f'tr[data-key="{image_id}"] > td[data-key="{region}"] .state')


def address(path: str, ids: dict[str, str]) -> str:
    """Return one of PAGES with these ids."""
    for name, one in ids.items():
        path = path.replace(name, one)
    return path


def matrix_of(stage: Stage, image_id: str) -> str:
    """Return the address of the matrix with one image only."""
    record = stage.people.record("RegionOne", image_id)
    assert record is not None
    return f"/ui/images?name={record['name']}"


def test_a_user_logs_in_and_out_and_a_wrong_password_is_no_secret(visit, stage):
    visitor = visit(user=None)
    visitor.log_in(stage.user("admin"), password="wrong")
    page = visitor.page
    expect(page.get_by_role("alert")).to_contain_text("Keystone refused this")
    expect(page.get_by_label("User", exact=True)).to_have_value("admin")
    visitor.log_in(stage.user("admin"))
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    [cookie] = visitor.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    visitor.context.add_cookies([cookie])  # its token is revoked
    page.goto("/ui/agents")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_copy_arrives_while_somebody_watches(visit, stage):
    image_id = stage.begin_slowly("debian-12")
    visitor = visit()
    page = visitor.page
    page.goto(matrix_of(stage, image_id))
    page.evaluate("window.loaded = true")
    expect(cell(page, image_id, "RegionTwo")).to_contain_text("copying")
    bar = page.locator(f'tr[data-key="{image_id}"] td[data-key="RegionTwo"] progress')
    before = float(bar.get_attribute("value"))
    page.wait_for_function(
        "([bar, before]) => bar.value > before", arg=[bar.element_handle(), before]
    )
    expect(bar.locator("+ span")).to_contain_text("left")
    expect(cell(page, image_id, "RegionThree")).to_have_attribute("data-state", "done")
    stage.valve.slow_down(None)
    expect(cell(page, image_id, "RegionTwo")).to_have_text("✓ in sync")
    expect(bar).to_be_hidden()
    assert page.evaluate("window.loaded")


def test_a_new_image_appears_in_the_matrix_by_itself(visit, stage):
    page = visit().page
    name = f"new-{uuid.uuid4().hex}"
    page.goto("/ui/images?status=success")
    page.evaluate("window.loaded = true")
    image_id = stage.publish(name)
    row = page.locator(f'tr[data-key="{image_id}"]')
    expect(row.locator("[data-state=done]")).to_have_count(3)
    assert row.get_by_role("link").get_attribute("href") == f"/ui/images/{image_id}"
    assert page.evaluate("window.loaded")


def test_a_region_is_paused_and_resumed(visit, stage):
    page = visit().page
    row = page.locator('tr[data-key="RegionThree"]')
    row.get_by_text("Pause…").click()
    row.get_by_label("Reason").fill("new disks")
    row.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("The region is paused.")).to_be_visible()
    expect(row.locator(".state")).to_have_text("‖ paused")
    expect(row).to_contain_text("new disks")
    image_id = stage.people.publish("held", size=1000).image_id
    stage.wait_for(image_id, {"RegionTwo": "in_sync"})
    page.goto(matrix_of(stage, image_id))
    expect(cell(page, image_id, "RegionThree")).to_have_text("‖ region paused")
    page.goto("/ui/")
    row.get_by_role("button", name="Resume RegionThree").click()
    expect(row.locator(".state")).to_have_text("✓ available")
    stage.wait_for(image_id, {"RegionThree": "in_sync"})


def test_a_copy_is_cancelled_and_then_retried(visit, stage):
    image_id = stage.begin_slowly("rocky-9")
    visitor = visit()
    page = visitor.page
    page.goto(f"/ui/images/{image_id}")
    row = page.locator('tr[data-key="RegionTwo"]')
    row.get_by_role("button", name="Cancel for RegionTwo").click()
    expect(page.get_by_text("The copies are cancelled.")).to_be_visible()
    expect(row.locator(".state")).to_have_text("⊘ cancelled")
    stage.valve.slow_down(None)
    visitor.keep_picture("image")
    row.get_by_role("button", name="Retry for RegionTwo").click()
    expect(row.locator(".state")).to_have_text("✓ in sync")
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("cancelled")
    expect(history).to_contain_text("retried")


def test_failures_with_one_reason_are_retried_together(visit, stage):
    slow_id = stage.begin_slowly("ubuntu-24")
    stage.api.ask("POST", f"/v1/images/{slow_id}/cancel", json={"regions": ["RegionTwo"]})
    stage.agent.wait_until(
        lambda: stage.agent.statuses(slow_id)["RegionTwo"] == "failure", "the end"
    )
    stage.valve.slow_down(None)
    visitor = visit()
    page = visitor.page
    page.goto("/ui/failures")
    group = page.locator('li[data-key="cancelled"]')
    # An agent counts for all readers, only now and then.
    expect(group).to_be_visible(timeout=120_000)
    visitor.keep_picture("failures")
    expect(group.get_by_role("link", name="All images: cancelled")).to_be_visible()
    group.get_by_role("button", name="Retry all: cancelled").click()
    expect(page.get_by_text("are due now")).to_be_visible()
    stage.wait_for(slow_id, {"RegionTwo": "in_sync"})
    expect(group).to_be_hidden()


def test_a_scan_is_planned_and_then_run(visit, stage):
    image_id = stage.publish("lost")
    lose_copy(stage.api, stage.agent, stage.people, image_id, "RegionFour")
    visitor = visit()
    page = visitor.page
    page.goto("/ui/scans")
    page.get_by_label("Region").select_option("RegionFour")
    page.get_by_role("button", name="Scan", exact=True).click()
    expect(page.get_by_text("An agent will run the scan.")).to_be_visible()
    newest = page.locator("tbody tr").first
    expect(newest.locator(".state")).to_have_text("✓ done")
    newest.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Scan of RegionFour")
    plan = page.locator("tr[data-key]").filter(has_text="lost")
    expect(plan).to_contain_text("copy")
    visitor.keep_picture("scan")
    assert stage.people.copies("RegionFour", image_id) == []
    page.get_by_role("button", name="Scan again").click()
    expect(newest).to_contain_text("requests the differences")
    stage.agent.wait_until(
        lambda: stage.people.copies("RegionFour", image_id) != [], "the copy", browsers.SECONDS
    )


def test_an_image_is_verified_and_its_verdict_is_shown(visit, stage):
    image_id = stage.publish("checked")
    page = visit().page
    page.goto("/ui/verifications")
    page.get_by_label("Region").select_option("RegionThree")
    page.get_by_label("Id of an image").fill(image_id)
    page.get_by_role("button", name="Verify", exact=True).click()
    expect(page.get_by_text("An agent will run the verification.")).to_be_visible()
    newest = page.locator("tbody tr").first
    expect(newest.locator(".state")).to_have_text("✓ done")
    newest.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        f"Verification of image {image_id} in RegionThree"
    )
    expect(page.locator("tbody tr[data-key]")).to_contain_text("ok")
    page.get_by_role("button", name="Verify again, and replace bad copies").click()
    expect(newest).to_contain_text("replaces bad copies")
    expect(newest.locator(".state")).to_have_text("✓ done")


@pytest.fixture
def marked(stage) -> str:
    """Give an image of RegionTwo with the mark of a copy whose source is gone."""
    image_id = str(uuid.uuid4())
    mark = {
        "glance_sync_source_id": str(uuid.uuid4()),
        "glance_sync_source_region": stage.people.cascading,
        "glance_sync_copy_id": image_id,
        "glance_sync_copy_region": "RegionTwo",
    }
    stage.people.create("left-over", region="RegionTwo", id=image_id, **mark)
    return image_id


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_an_orphan_is_deleted_after_its_consequence_was_shown(
    visit, stage, marked, java_script_enabled
):
    visitor = visit(java_script_enabled=java_script_enabled)
    page = visitor.page
    page.get_by_role("link", name="Orphans").click()
    page.get_by_label("Region").select_option("RegionTwo")
    page.get_by_role("button", name="Search").click()
    row = page.locator(f'tr[data-key="RegionTwo/{marked}"]')
    expect(row).to_contain_text("orphan")
    sentence = row.get_by_text(f"the id {marked} in region RegionTwo: It is deleted")
    expect(sentence).to_be_hidden()
    row.get_by_text("Delete…").click()
    expect(sentence).to_be_visible()
    if java_script_enabled:
        visitor.check_axe()
    row.get_by_role("button", name=f"Delete {marked} in RegionTwo").click()
    expect(page.get_by_text("The orphan is deleted.")).to_be_visible()
    expect(row).to_have_count(0)
    assert stage.people.record("RegionTwo", marked) is None


def test_an_image_is_disowned(visit, stage, marked):
    page = visit().page
    page.goto("/ui/orphans?search=yes")
    row = page.locator(f'tr[data-key="RegionTwo/{marked}"]')
    row.get_by_text("Disown…").click()
    row.get_by_role("button", name=f"Disown {marked} in RegionTwo").click()
    expect(page.get_by_text("The image is nobody's copy now.")).to_be_visible()
    expect(row).to_have_count(0)
    record = stage.people.record("RegionTwo", marked)
    assert "glance_sync_copy_id" not in record


def test_a_name_that_is_html_is_shown_as_it_is(visit, stage):
    image_id = stage.publish(MARKUP)
    page = visit().page
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(f"/ui/images/{image_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(MARKUP)
    page.goto("/ui/images?status=success")
    page.evaluate("window.loaded = true")
    later = stage.publish(MARKUP)  # the module in the browser writes this one
    for one in (image_id, later):
        link = page.locator(f'tr[data-key="{one}"] a')
        expect(link).to_contain_text(MARKUP)
        link.hover()
    assert page.locator("tbody b").count() == 0
    assert page.evaluate("window.loaded")


def test_a_user_without_a_role_for_all_asks_for_single_images_that_exist(visit, stage):
    image_id = stage.publish("own", user="alice")
    other = stage.publish("other", user="bob")
    page = visit("alice").page
    expect(page.get_by_role("alert")).to_contain_text("image_sync:regions:read")
    page.get_by_label("Id of an image").fill(image_id)
    page.get_by_role("button", name="Show the image").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("own")
    expect(page.locator("tr[data-key] .state")).to_have_count(3)
    assert page.goto(f"/ui/images/{other}").status == 404
    stage.people.delete(image_id, user="alice")
    # The API keeps for some seconds what Glance said.
    users.eventually(
        lambda: page.goto(f"/ui/images/{image_id}").status == 404,
        "an answer that knows of the deletion",
    )


@pytest.fixture
def reader(stage) -> Iterator[clouds.User]:
    """Give a user whose only role is to read the whole deployment."""
    session, url = stage.people.cloud.session("admin"), stage.people.cloud.describe().auth_url
    wanted = {"name": f"reader-{uuid.uuid4().hex}", "password": uuid.uuid4().hex}
    user_id = session.post(f"{url}/users", json={"user": wanted}).json()["user"]["id"]
    [role] = session.get(f"{url}/roles?name=reader").json()["roles"]
    session.put(f"{url}/system/users/{user_id}/roles/{role['id']}")
    yield clouds.User(**wanted, project="", project_id="", domain="Default", roles=[])
    session.delete(f"{url}/users/{user_id}")


@pytest.mark.usefixtures("marked")
def test_a_reader_sees_everything_and_no_button_that_changes_something(visit, stage, reader):
    image_id = stage.publish("seen")
    ids = {"IMAGE": image_id, **stage.begin_jobs()}
    visitor = visit(user=None)
    visitor.log_in(reader)
    page = visitor.page
    expect(page.get_by_text("in the whole deployment")).to_be_visible()
    for path in PAGES[:-1]:
        answer = page.goto(address(path, ids))
        assert answer.status == 200
        forms = page.locator("main form[method=post]")
        expect(forms).to_have_count(0)
        visitor.check_axe()
    page.goto(f"/ui/images/{image_id}")
    page.evaluate("window.loaded = true")
    stage.api.ask("POST", f"/v1/images/{image_id}/sync", json={})
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("requested")
    expect(forms).to_have_count(0)  # rows that the module in the browser made
    assert page.evaluate("window.loaded")


PAGES = (
    "/ui/", "/ui/images", "/ui/images/IMAGE", "/ui/failures", "/ui/scans", "/ui/scans/SCAN",
    "/ui/verifications", "/ui/verifications/VERIFICATION", "/ui/orphans?search=yes",
    "/ui/agents", "/ui/nowhere",
)
PICTURES = {"/ui/": "overview", "/ui/images": "images"}


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page_and_nothing_is_too_wide(visit, stage, scheme):
    for name in ("cirros", "debian-11", "ubuntu-22"):
        stage.publish(name)
    slow_id = stage.begin_slowly("debian-13")
    change = {"paused": True, "reason": "a disk is being replaced"}
    stage.api.ask("PATCH", "/v1/regions/RegionFour", json=change)
    ids = {"IMAGE": slow_id, **stage.begin_jobs()}
    stranger = visit(user=None, color_scheme=scheme)
    stranger.page.goto("/ui/log-in")
    stranger.check_axe()
    visitor = visit(color_scheme=scheme)
    for path in PAGES:
        visitor.page.goto(address(path, ids))
        for size in (browsers.WIDE, browsers.NARROW):
            visitor.page.set_viewport_size(size)
            visitor.check_axe()
            visitor.check_width()
        if path in PICTURES:
            visitor.page.locator("tbody").scroll_into_view_if_needed()
            visitor.keep_picture(f"{PICTURES[path]}-narrow-{scheme}")
            visitor.page.set_viewport_size(browsers.WIDE)
            visitor.page.evaluate("scrollTo(0, 0)")
            visitor.keep_picture(f"{PICTURES[path]}-{scheme}")


def test_the_keyboard_is_enough(visit, stage):
    visitor = visit(user=None)
    page = visitor.page
    page.goto("/ui/")
    expect(page.get_by_label("User", exact=True)).to_be_focused()
    admin = stage.user("admin")
    for text in (admin.name, admin.password, admin.project):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    summary = page.locator('tr[data-key="RegionFour"] summary')
    for _ in range(50):
        page.keyboard.press("Tab")
        if summary.evaluate("one => one === document.activeElement"):
            break
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("night")
    # What the agent changes meanwhile takes neither the focus nor the text.
    change = {"paused": True, "reason": "x"}
    stage.api.ask("PATCH", "/v1/regions/RegionTwo", json=change)
    expect(page.locator('tr[data-key="RegionTwo"] .state')).to_have_text("‖ paused")
    page.keyboard.type(" shift")
    page.keyboard.press("Enter")
    row = page.locator('tr[data-key="RegionFour"]')
    expect(row.locator(".state")).to_have_text("‖ paused")
    expect(row).to_contain_text("night shift")


def test_a_link_on_another_site_leads_to_the_page_without_a_new_log_in(visit, stage):
    page = visit().page
    page.route(
        "http://chat.example/",
        lambda route: route.fulfill(
            body=f'<a href="{stage.api.url}/ui/agents">look</a>', content_type="text/html"
        ),
    )
    page.goto("http://chat.example/")
    page.get_by_role("link", name="look").click()
    expect(page.get_by_role("heading", name="Agents")).to_be_visible()


def test_the_page_works_without_javascript(visit, stage):
    visitor = visit(java_script_enabled=False)
    page = visitor.page
    row = page.locator('tr[data-key="RegionTwo"]')
    row.get_by_text("Pause…").click()
    row.get_by_label("Reason").fill("no script")
    row.get_by_role("button", name="Pause", exact=True).click()
    expect(row.locator(".state")).to_have_text("‖ paused")
    expect(page.get_by_role("button", name="Hold still")).to_be_hidden()


def test_what_did_not_change_is_not_sent_again(visit, stage):
    image_id = stage.publish("still")
    page = visit().page
    page.goto(matrix_of(stage, image_id))
    with page.expect_response(lambda answer: answer.status == 304) as unchanged:
        pass
    assert "/ui/data/images" in unchanged.value.url
    expect(cell(page, image_id, "RegionTwo")).to_have_text("✓ in sync")


def test_what_changes_can_be_held_and_a_silent_service_is_named(visit, stage):
    visitor = visit()
    page = visitor.page
    hold = page.get_by_role("button", name="Hold still")
    hold.click()
    expect(hold).to_have_attribute("aria-pressed", "true")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    change = {"paused": True, "reason": "x"}
    stage.api.ask("PATCH", "/v1/regions/RegionTwo", json=change)
    hold.click()
    state = page.locator('tr[data-key="RegionTwo"] .state')
    expect(state).to_have_text("‖ paused")
    assert all("/ui/data/" in one for one in asked)
    visitor.context.set_offline(True)
    expect(page.get_by_text("The service does not answer")).to_be_visible()
    visitor.context.set_offline(False)
    expect(page.get_by_text("The service does not answer")).to_be_hidden()
    visitor.complaints.clear()  # of the requests that failed
