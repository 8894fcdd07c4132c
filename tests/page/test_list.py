"""The list of jobs, the search, a job's story and a bulk's progress."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from playwright.async_api import expect

from shared.contract import Job, Place
from shared.ids import new_bulk_id
from shared.problems import Kind, problem
from shared.receipts import Receipt
from tests.build import ANIMALS, HANDLES, make_handle_job, make_job
from tests.page.site import Site, Visit
from tests.serving import working

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ended(job: Job, minute: int) -> Receipt:
    """`job`, exhausted at that minute after noon."""
    at = NOON + timedelta(minutes=minute)
    return replace(Receipt.exhausted(job, "animals", tries=1), submitted_at=at - timedelta(seconds=1), finished_at=at)


async def shown(visit: Visit) -> list[str]:
    return await visit.page.locator("table.jobs .job code").all_inner_texts()


async def test_the_list_goes_on_page_by_page(site: Site, visit: Visit) -> None:
    jobs = [make_job(ANIMALS, [f"animal-{minute}"]) for minute in range(120)]
    await site.write(*(ended(job, minute) for minute, job in enumerate(jobs)))
    await visit.page.goto("/ui/jobs")
    seen = await shown(visit)
    for _ in range(2):
        await visit.page.get_by_role("link", name="Next page").click()
        await visit.page.wait_for_url("**cursor**")
        await expect(visit.page.get_by_text(seen[-1])).to_have_count(0)
        seen += await shown(visit)
    assert seen == [str(job.id) for job in reversed(jobs)]
    await expect(visit.page.get_by_role("link", name="Next page")).to_have_count(0)
    await visit.page.get_by_role("link", name="First page").click()
    assert await shown(visit) == seen[:50]


async def test_the_filter_takes_several_statuses_a_collection_and_a_time(site: Site, visit: Visit) -> None:
    failed, late = await site.fail("Max"), make_job(ANIMALS, ["late"])
    early, handle = make_job(ANIMALS, ["early"]), make_handle_job("acme", "max")
    done = Receipt.succeeded(handle, HANDLES.name, tries=1, choice=0, row={"id": 1, "handle": "max"})
    await site.write(ended(early, 0), ended(late, 30), done)
    page = visit.page
    await page.goto("/ui/jobs")
    assert len(await shown(visit)) == 4
    await page.get_by_label("failed").check()
    await page.wait_for_url("**status=failed**")
    assert await shown(visit) == [str(failed.id)]
    await page.get_by_label("exhausted").check()
    await page.wait_for_url("**status=exhausted**")
    assert set(await shown(visit)) == {str(job.id) for job in (failed, late, early)}
    await page.get_by_label("failed").uncheck()
    await page.wait_for_url(lambda url: "failed" not in url)
    await page.get_by_label("Ended from").fill("2026-01-01T12:10")
    await page.get_by_label("until").fill("2026-01-01T13:00")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("table.jobs .job code")).to_have_text([str(late.id)])
    await page.goto("/ui/jobs")
    await page.get_by_label("Collection").select_option("handles")
    await page.wait_for_url("**collection=handles**")
    assert await shown(visit) == [str(handle.id)]
    await expect(page.locator(".job b")).to_have_text("max")


async def test_a_filter_that_makes_no_sense_is_told(site: Site, visit: Visit) -> None:
    for query in ("status=lost", "since=yesterday", "cursor=x", "status=queued&status=failed"):
        answer = await visit.page.goto(f"/ui/jobs?{query}")
        assert answer is not None
        assert answer.status == 422
        await visit.sees("The content of the request does not fit")
    visit.complaints.clear()


async def test_those_that_wait_are_listed_and_cancelled(site: Site, visit: Visit) -> None:
    jobs = [await site.submit(name) for name in ("Max", "Cody")]
    await visit.page.goto("/")
    await visit.page.locator(".tile.queued a").click()
    assert await shown(visit) == [str(job.id) for job in jobs]
    await visit.page.get_by_role("button", name=f"Cancel {jobs[0].id}").click()
    await expect(visit.page.locator("table.jobs .job code")).to_have_text([str(jobs[1].id)])
    assert "status=queued" in visit.page.url


async def test_the_search_finds_a_job_or_a_bulk_by_its_id_or_its_key(site: Site, visit: Visit) -> None:
    async with httpx.AsyncClient(base_url=site.url) as client:
        job = (await client.post("/add", headers={"Idempotency-Key": "order 4711"})).json()
        ndjson = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "import-1"}
        bulk = (await client.post("/bulk/animals", headers=ndjson, content='{"candidates":["Rex"]}\n')).json()
    for text, heading, id_ in (
        (job["id"], "Job", job["id"]),
        ("order 4711", "Job", job["id"]),
        (bulk["id"], "Bulk", bulk["id"]),
        ("import-1", "Bulk", bulk["id"]),
    ):
        await visit.page.goto("/")
        await visit.page.get_by_role("searchbox").fill(text)
        await visit.page.keyboard.press("Enter")
        await expect(visit.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        await visit.sees(id_)
    await visit.page.get_by_role("searchbox").fill("never used")
    await visit.page.keyboard.press("Enter")
    await visit.sees("no job and no bulk has the idempotency key never used")
    visit.complaints.clear()


async def test_a_story_tells_candidates_outcome_error_and_where_the_job_comes_from(site: Site, visit: Visit) -> None:
    bulk = new_bulk_id()
    original = await site.fail("Max")
    job = replace(
        make_handle_job("acme", "max", "cody", "robby"), place=Place(bulk, 7), retry_of=original.id, caller="ada"
    )
    row = {"id": 2, "tenant": "acme", "handle": "cody", "owner": "Ada"}
    await site.write(Receipt.succeeded(job, HANDLES.name, tries=3, choice=1, row=row))
    await visit.page.goto(f"/ui/jobs/{job.id}")
    assert await visit.page.locator(".candidates li").all_inner_texts() == [
        "max\ntaken",
        "cody\nwon",
        "robby\nnot needed",
    ]
    for text in ("succeeded", "3 tries", "by ada", f"{bulk}, line 7", "acme"):
        await visit.sees(text)
    await visit.page.get_by_role("link", name=str(original.id)).click()
    await visit.sees("the server was out of luck")
    link = visit.page.get_by_role("link", name="What “unexpected” means")
    await link.click()
    await expect(visit.page.get_by_role("heading", name="The job met an unexpected error")).to_be_visible()


async def test_a_line_that_was_no_add_is_told_with_each_fault(site: Site, visit: Visit) -> None:
    line = replace(make_job(ANIMALS, ["Max"]), candidates=[])
    async with httpx.AsyncClient(base_url=site.url) as client:
        ndjson = {"Content-Type": "application/x-ndjson"}
        bulk = (await client.post("/bulk/animals", headers=ndjson, content='{"candidates":[5]}\n')).json()
    async with working(site.database, site.queue):
        await visit.page.goto(f"/ui/bulk/{bulk['id']}")
        await visit.sees("1 of 1 lines have ended")
    await expect(visit.page.locator(".tile.failed")).to_contain_text("1")
    await visit.page.goto("/ui/jobs")
    await visit.page.locator("table.jobs .job a").click()
    await visit.sees("/candidates/0")
    assert line is not None


async def test_what_callers_send_is_shown_and_not_obeyed(site: Site, visit: Visit) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    job = make_job(ANIMALS, [evil])
    await site.write(Receipt.failed(job, ANIMALS.name, tries=1, error=problem(Kind.UNEXPECTED, evil)))
    for path in ("/", "/ui/jobs", f"/ui/jobs/{job.id}"):
        await visit.page.goto(path)
        await visit.sees(evil)
    assert UUID(str(job.id)) == job.id
