"""The page at `/`, in a real browser."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from math import sin
from pathlib import Path
from typing import Any

import pytest

from relay_sdk import Client, Queue
from relay_sdk.local import LocalServer
from relay_sdk.local.operations import Enqueue, NewJob, Remove
from relay_sdk.local.stats import MAX_STEPS, STEP_SECONDS

EMAILS = Queue("emails")
EVIL = '</script><img src=x onerror="window.hacked=1"><b>&amp;'

NewPage = Callable[..., Any]
TakePicture = Callable[[Any, str], None]


@pytest.fixture
def relay(server: LocalServer) -> Iterator[Client]:
    with Client(server.url) as relay:
        yield relay


def fill(relay: Client) -> None:
    """Enqueue jobs of every status, and claim two."""
    jobs = [
        EMAILS.job(f"welcome-{n:03}", {"to": f"ada{n}@example.org", "n": n}, max_retries=3)
        for n in range(60)
    ]
    relay.enqueue_batch(jobs)
    relay.enqueue(EMAILS.job("reminder-1", {"to": "bob@example.org"}, delay=10**6))
    relay.enqueue(Queue("invoices").job("2030-001", [1]))
    for helper in relay.next("emails", 2):
        helper.heartbeat({"sent": 1})


def remember(server: LocalServer) -> None:
    """Fill the statistics of the last minutes."""
    stats, now = server.app.stats, server.app.now()
    for step in range(MAX_STEPS, 0, -1):
        wave = 30 + round(20 * sin(step / 9) + 6 * sin(step / 2))
        jobs = [NewJob("emails", "", 30, None, "1", None, now)] * wave
        done = [(Remove("emails", "", "run"), True)] * (wave - 4 + step % 7)
        stats.record_batch(
            now - step * STEP_SECONDS * 10**6, 0.0, [(Enqueue(jobs, "ignore"), None), *done]
        )
        stats.record_reaped(
            now - step * STEP_SECONDS * 10**6, [], ["emails"] * (5 * (step % 31 == 0))
        )


def look_again(page: Any) -> None:
    """Wait until the page has made a whole update."""
    looks = int(page.evaluate("document.body.dataset.updates ?? 0"))
    page.wait_for_function("looks => Number(document.body.dataset.updates) > looks + 1", arg=looks)


def ids(page: Any) -> list[str]:
    texts: list[str] = page.locator("#jobs tbody th").all_inner_texts()
    return texts


def expect_text(page: Any, selector: str, text: str) -> None:
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)",
        arg=[selector, text],
    )


def row(page: Any, queue: str) -> list[str]:
    page.wait_for_selector("#queues tbody tr")
    cells: list[str] = page.get_by_role("row", name=queue).locator("th, td").all_inner_texts()
    return cells


def test_it_shows_queues_and_jobs(
    page: Any, server: LocalServer, relay: Client, take_picture: TakePicture
) -> None:
    remember(server)
    fill(relay)
    page.goto(server.url)

    assert row(page, "emails")[:4] == ["emails", "58", "1", "2"]
    assert row(page, "invoices")[:4] == ["invoices", "1", "0", "0"]
    page.get_by_role("button", name="emails").click()
    page.wait_for_selector("#jobs tbody tr:nth-child(50)")
    page.get_by_role("button", name="welcome-000").click()
    expect_text(page, "#payload", '"to": "ada0@example.org"')

    assert ids(page)[:3] == ["reminder-1", "welcome-000", "welcome-001"]
    assert page.locator("#state").inner_text() == '{\n  "sent": 1\n}'
    facts = page.locator("#job dl").inner_text()
    assert "running" in facts
    assert "Lease ends\nin " in facts
    assert re.search(r"Running since\n[\d.]+ s ago, \d{4}-", facts)
    cells = page.get_by_role("row", name="welcome-000").locator("th, td")
    began = page.locator("#jobs thead th").all_inner_texts().index("Run began")
    assert re.fullmatch(r"[\d.]+ s ago", cells.nth(began).inner_text())
    take_picture(page, "dashboard")


def test_the_start_of_a_run_of_relay_is_not_shown(
    page: Any, server: LocalServer, relay: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk.local.run_ids.time_prefix", lambda _: "0b7ce8cb-1a71-4")
    relay.enqueue(EMAILS.job("a", 1))
    relay.next("emails")

    page.goto(f"{server.url}/#queue=emails&job=a")

    expect_text(page, "#job dl", "Last heard from")
    assert "Running since" not in page.locator("#job dl").inner_text()


def test_the_page_updates_without_reloading(page: Any, server: LocalServer, relay: Client) -> None:
    page.goto(f"{server.url}/#queue=emails")
    expect_text(page, "#no-jobs", "No jobs.")

    relay.enqueue_batch([EMAILS.job("a", 1), EMAILS.job("b", 1)])
    expect_text(page, "#jobs tbody", "b")
    page.get_by_role("button", name="b", exact=True).focus()
    relay.next("emails")[0].complete()
    page.wait_for_selector("#jobs tbody tr:nth-child(2)", state="detached")

    assert ids(page) == ["b"]
    assert page.evaluate("document.activeElement.innerText") == "b"  # it stays where the focus is
    assert row(page, "emails")[5] == "1"
    assert "2 enqueued, 1 done" in page.locator("#chart").get_attribute("aria-label")


def test_jobs_are_filtered_and_the_address_keeps_the_filter(
    page: Any, server: LocalServer, relay: Client
) -> None:
    fill(relay)
    page.goto(f"{server.url}/#queue=emails")
    page.get_by_label("Status").select_option("running")
    page.wait_for_selector("#jobs tbody tr:nth-child(3)", state="detached")
    assert sorted(ids(page)) == ["welcome-000", "welcome-001"]

    page.get_by_label("Status").select_option("")
    page.get_by_label("Id begins with").fill("welcome-05")
    page.wait_for_selector("#jobs tbody tr:nth-child(11)", state="detached")
    page.reload()
    page.wait_for_selector("#jobs tbody tr")

    assert ids(page) == [f"welcome-05{n}" for n in range(10)]
    assert page.get_by_label("Id begins with").input_value() == "welcome-05"
    page.get_by_label("Id begins with").fill("nobody")
    expect_text(page, "#no-jobs", "No matching jobs.")


def test_a_selection_is_removed_after_confirmation(
    page: Any, server: LocalServer, relay: Client
) -> None:
    relay.enqueue_batch([EMAILS.job(id, 1) for id in "abc"])
    page.goto(f"{server.url}/#queue=emails")
    page.get_by_label("Select a", exact=True).check()
    page.get_by_label("Select c", exact=True).check()
    tools = page.get_by_role("group", name="Selected jobs")

    tools.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    assert relay.exists("emails", "a")
    tools.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect_text(page, "#told", "Removed 2 jobs of emails.")
    page.wait_for_selector("#jobs tbody tr:nth-child(2)", state="detached")

    assert ids(page) == ["b"]
    assert not relay.exists("emails", "a")
    assert page.locator("#selected").inner_text() == "none selected"
    assert page.evaluate("document.activeElement.id") == "jobs-title"


def test_one_job_is_requeued_made_due_and_removed(
    page: Any, server: LocalServer, relay: Client
) -> None:
    relay.enqueue(EMAILS.job("now", 1))
    relay.enqueue(EMAILS.job("later", 1, delay=10**6))
    (helper,) = relay.next("emails")
    page.goto(f"{server.url}/#queue=emails&job=now")
    this = page.get_by_role("group", name="This job")

    this.get_by_role("button", name="Run now").click()
    expect_text(page, "#told", "1 was not scheduled")
    this.get_by_role("button", name="Requeue").click()
    expect_text(page, "#told", "Requeued 1 job")
    expect_text(page, "#job dl", "ready")
    page.get_by_role("button", name="later").click()
    this.get_by_role("button", name="Run now").click()
    expect_text(page, "#told", "Made due 1 job")
    this.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect_text(page, "#job dl", "no longer exists")

    assert [again.job.id for again in relay.next("emails", 2)] == ["now"]
    assert helper.job.id == "now"


def test_a_queue_is_emptied_after_confirmation(
    page: Any, server: LocalServer, relay: Client
) -> None:
    relay.enqueue_batch([EMAILS.job(str(n), 1) for n in range(1500)])
    page.goto(f"{server.url}/#queue=emails")
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()

    expect_text(page, "#told", "Removed 1,500 jobs of emails.")
    expect_text(page, "#no-jobs", "No jobs.")


def test_texts_of_jobs_are_never_executed(
    page: Any, server: LocalServer, relay: Client, complaints: list[str]
) -> None:
    relay.enqueue(Queue(EVIL).job(EVIL, {EVIL: EVIL}, state=EVIL))
    page.goto(server.url)
    page.get_by_role("button", name=EVIL).click()
    page.locator("#jobs tbody .link").click()
    expect_text(page, "#state", EVIL.replace('"', '\\"'))
    look_again(page)

    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("#job-title").inner_text() == f"Job {EVIL}"
    # The page could not even make elements of a text, nor run a script that got in.
    page.evaluate("""() => {
        try { document.body.innerHTML = "<img src=x>"; }
        catch (error) { window.refused = error.name; }
        const script = document.createElement("script");
        script.append("window.hacked = 1");
        document.body.append(script);
    }""")
    assert page.evaluate("[window.hacked, window.refused]") == [None, "TypeError"]
    assert page.locator("img").count() == 0
    assert all("Trusted" in text for text in complaints)
    complaints.clear()


def test_a_job_is_enqueued_by_a_form_that_checks_json(
    page: Any, server: LocalServer, relay: Client, take_picture: TakePicture
) -> None:
    page.goto(f"{server.url}/#queue=emails")
    page.get_by_role("button", name="Enqueue a job").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Id").fill("big")
    payload = dialog.get_by_label("Payload")
    payload.fill('{"n": 12345678901234567890')
    dialog.get_by_role("button", name="Enqueue").click()
    expect_text(page, "#payload-wrong", "This is not JSON")
    assert payload.get_attribute("aria-invalid") == "true"
    take_picture(page, "dashboard-enqueue")

    payload.fill('{"n": 12345678901234567890}')
    dialog.get_by_role("button", name="Enqueue").click()
    expect_text(page, "#told", "Enqueued job big in emails.")
    expect_text(page, "#jobs tbody", "12345678901234567890")
    page.get_by_role("button", name="Enqueue a job").click()
    dialog.get_by_label("Id").fill("big")
    dialog.get_by_role("button", name="Enqueue").click()
    expect_text(page, "#enqueue [role=alert]", "already exists")

    assert relay.get("emails", "big").payload == {"n": 12345678901234567890}


def test_a_hundred_thousand_jobs_are_a_page_at_a_time(page: Any, tmp_path: Path) -> None:
    with LocalServer(tmp_path / "relay.db") as server:
        with sqlite3.connect(tmp_path / "relay.db") as database:
            database.executemany(
                "INSERT INTO jobs (queue, id, timeout, payload, run_at, updated_at, created_at)"
                "VALUES ('emails', ?, 30, '{}', ?, 1, 1)",
                ((f"{n:06}", n) for n in range(100_000)),
            )
        database.close()
        page.goto(f"{server.url}/#queue=emails&status=ready")
        page.wait_for_selector("#jobs tbody tr:nth-child(50)")
        expect_text(page, "#queues tbody", "100,000+")
        assert page.locator("tbody tr").count() == 51

        page.get_by_role("button", name="Next page").click()
        expect_text(page, "#jobs tbody", "000099")
        page.get_by_label("Id begins with").fill("09999")
        page.wait_for_selector("#jobs tbody tr:nth-child(11)", state="detached")
        assert ids(page)[-1] == "099999"


def test_the_page_asks_for_the_token_and_keeps_it_in_the_tab(new_page: NewPage) -> None:
    with LocalServer(token="secret") as server:
        page = new_page()
        page.goto(server.url)
        dialog = page.get_by_role("dialog", name="This server requires a token")
        dialog.get_by_label("Token").fill("guess")
        dialog.get_by_role("button", name="Use it").click()
        expect_text(page, "#token .wrong", "refused this token")
        dialog.get_by_label("Token").fill("secret")
        dialog.get_by_role("button", name="Use it").click()
        expect_text(page, "#live", "live,")
        page.reload()
        expect_text(page, "#live", "live,")
        assert page.locator("dialog[open]").count() == 0

        other = new_page()
        other.goto(server.url)
        other.wait_for_selector("#token[open]")


def test_an_outage_of_the_server_is_shown_until_it_is_over(page: Any, tmp_path: Path) -> None:
    with LocalServer(tmp_path / "relay.db") as server:
        port = int(server.url.rpartition(":")[2])
        page.goto(server.url)
        expect_text(page, "#live", "live,")
    expect_text(page, "#trouble", "The server does not answer.")
    expect_text(page, "#live", "not live")

    with LocalServer(tmp_path / "relay.db", port=port):
        expect_text(page, "#live", "live,")
        assert page.locator("#trouble").inner_text() == ""


def test_a_page_of_another_origin_reads_and_changes_nothing(
    page: Any, server: LocalServer, relay: Client, complaints: list[str]
) -> None:
    relay.enqueue(EMAILS.job("a", 1))
    body = json.dumps({"queue": "emails", "ids": ["a"]})
    with LocalServer() as elsewhere:
        page.goto(f"{elsewhere.url}/health")
        outcomes = page.evaluate(
            """async ([url, body]) => {
                const tries = [
                    [`${url}/local/queues`, {}],
                    [`${url}/local/remove`, {method: "POST", body, mode: "no-cors"}],
                    [`${url}/local/remove`, {method: "POST", body,
                                             headers: {"content-type": "application/json"}}],
                ];
                const seen = [];
                for (const [path, settings] of tries) {
                    try { seen.push((await fetch(path, settings)).type); }
                    catch { seen.push(null); }
                }
                return seen;
            }""",
            [server.url, body],
        )
    assert outcomes == [None, "opaque", None]
    assert all("blocked by CORS policy" in text for text in complaints)
    complaints.clear()
    assert relay.exists("emails", "a")


def test_all_can_be_done_with_the_keyboard(page: Any, server: LocalServer, relay: Client) -> None:
    fill(relay)
    page.goto(server.url)
    page.wait_for_selector("#queues tbody tr")
    press = page.keyboard.press
    focused = (
        "document.activeElement.innerText || document.activeElement.getAttribute('aria-label')"
    )

    def tab_to(text: str) -> None:
        for _ in range(40):
            press("Tab")
            if page.evaluate(focused) == text:
                return
        raise AssertionError(f"no way to {text}")

    tab_to("emails")
    press("Enter")
    page.wait_for_selector("#jobs tbody tr")
    tab_to("Select reminder-1")
    press("Space")
    tab_to("reminder-1")
    press("Enter")
    page.wait_for_selector("#job dl dt")
    tab_to("Remove")
    press("Enter")
    page.wait_for_selector("#confirm[open]")
    press("Escape")

    assert page.locator("#selected").inner_text() == "1 selected"
    assert page.locator("dialog[open]").count() == 0
    assert relay.exists("emails", "reminder-1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violations(
    new_page: NewPage, server: LocalServer, relay: Client, scheme: str, take_picture: TakePicture
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    remember(server)
    fill(relay)
    page = new_page(color_scheme=scheme)

    def violations() -> list[str]:
        found = axe.run(page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]

    page.goto(f"{server.url}/#queue=emails&job=welcome-000")
    expect_text(page, "#payload", "ada0")
    page.get_by_label("Select all").check()
    assert violations() == []
    if scheme == "dark":
        take_picture(page, "dashboard-dark")
    page.get_by_role("button", name="Enqueue a job").click()
    page.get_by_role("dialog").get_by_label("Payload").fill("{")
    assert violations() == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove all").click()
    assert violations() == []
    page.set_viewport_size({"width": 360, "height": 700})
    page.keyboard.press("Escape")
    assert violations() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
