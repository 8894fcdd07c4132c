"""What an operator can do: send again, one by one and all, cancel, try an add."""

from dataclasses import replace

from playwright.async_api import expect

from shared.contract import Status
from shared.ids import retry_id
from shared.problems import Kind, problem
from shared.receipts import Receipt
from tests.build import ANIMALS, make_job, names_of, receipts_of
from tests.page.site import Site, Visit
from tests.serving import working


async def test_an_add_is_tried_and_its_outcome_seen_as_it_happens(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto("/ui/add")
    await page.get_by_label("Candidates", exact=True).fill("Rex\nBello")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#status")).to_have_text("queued")
    async with working(site.database, site.queue):
        await expect(page.locator("#status")).to_have_text("succeeded")
    await expect(page.locator(".candidates .won")).to_contain_text("Rex")
    await expect(page.locator(".candidates .not-needed")).to_contain_text("Bello")
    assert await names_of(site.database) == ["Rex"]


async def test_an_add_that_does_not_fit_is_not_lost(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto("/ui/add?collection=handles")
    await page.get_by_label("Candidates", exact=True).fill('{"handle": "max", "nickname": "m"}')
    await page.get_by_label("Values").fill('{"tenant": "acme"}')
    visit.complaints.clear()
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("alert")).to_contain_text("/candidates/0/nickname")
    await expect(page.get_by_label("Candidates", exact=True)).to_have_value('{"handle": "max", "nickname": "m"}')
    await expect(page.get_by_label("Values")).to_have_value('{"tenant": "acme"}')
    assert await site.queue.depth() == 0
    visit.complaints.clear()  # the browser tells of the 422


async def test_a_form_that_is_sent_twice_is_one_add(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto("/ui/add")
    form = page.locator("form.fields")
    fields = await form.evaluate("form => [...new FormData(form)]")
    for _ in range(2):
        answer = await page.request.post("/ui/add", form=dict(fields), headers={"Origin": site.url}, max_redirects=0)
        assert answer.status == 303
    assert await site.queue.depth() == 1


async def test_a_waiting_job_is_cancelled(site: Site, visit: Visit) -> None:
    job = await site.submit("Max")
    await visit.page.goto(f"/ui/jobs/{job.id}")
    await visit.page.get_by_role("button", name="Cancel").click()
    await expect(visit.page.locator("#status")).to_have_text("cancelled")
    assert (await receipts_of(site.database, [job]))[job.id].status is Status.CANCELLED


async def test_a_cancel_that_comes_too_late_says_so(site: Site, visit: Visit) -> None:
    job = await site.submit("Max")
    await visit.page.goto(f"/ui/jobs/{job.id}")
    await visit.page.get_by_role("button", name="Live").click()
    await site.write(Receipt.exhausted(job, ANIMALS.name, tries=1))
    await visit.page.get_by_role("button", name="Cancel").click()
    await visit.sees("It was too late to cancel this job")
    await expect(visit.page.locator("#status")).to_have_text("exhausted")


async def test_a_failed_job_is_sent_again_from_its_story(site: Site, visit: Visit) -> None:
    job = await site.fail("Max", "Cody", detail="the disk was full")
    await visit.page.goto(f"/ui/jobs/{job.id}")
    await visit.sees("the disk was full")
    await visit.page.get_by_role("button", name="Send again").click()
    await visit.page.wait_for_url(f"**/ui/jobs/{retry_id(job.id)}?told=again")
    async with working(site.database, site.queue):
        await expect(visit.page.locator("#status")).to_have_text("succeeded")
    await visit.page.get_by_role("link", name=str(job.id)).click()
    await expect(visit.page.get_by_role("link", name="Was sent again")).to_be_visible()
    assert await names_of(site.database) == ["Max"]


async def test_a_failed_job_is_sent_again_from_the_list_and_the_list_stays(site: Site, visit: Visit) -> None:
    jobs = [await site.fail(name) for name in ("Max", "Cody")]
    await visit.page.goto("/ui/jobs?status=failed")
    await visit.page.get_by_role("button", name="Send again Max").click()
    row = visit.page.locator(f"#row-{jobs[0].id}")
    await expect(row.get_by_role("link", name="Sent again")).to_be_visible()
    assert visit.page.url.endswith("/ui/jobs?status=failed")
    await expect(visit.page.get_by_role("button", name="Send again Cody")).to_be_visible()
    assert await site.queue.look(retry_id(jobs[0].id)) is not None
    assert await site.queue.look(retry_id(jobs[1].id)) is None


async def test_all_failed_jobs_of_a_filter_are_sent_again_once(site: Site, visit: Visit) -> None:
    failed = [await site.fail(f"animal-{number}") for number in range(120)]
    exhausted = make_job(ANIMALS, ["Max"])
    await site.write(Receipt.exhausted(exhausted, ANIMALS.name, tries=1))
    page = visit.page
    await page.goto("/ui/jobs?collection=animals")
    await page.get_by_role("link", name="Send the failed ones again").click()
    await visit.sees("120 failed jobs of animals")
    late = await site.fail("late")
    await page.get_by_role("button", name="Send 120 again").click()
    await visit.sees("120 jobs are on their way")
    assert await site.queue.depth() == 120
    assert all([await site.queue.look(retry_id(job.id)) for job in failed])
    assert await site.queue.look(retry_id(exhausted.id)) is None
    assert await site.queue.look(retry_id(late.id)) is None
    await page.goto("/ui/retry?collection=animals")
    await visit.sees("1 failed job of animals")
    await page.goto("/ui/retry?collection=handles")
    await visit.sees("No failed job that fits is left")


async def test_what_cannot_be_sent_again_is_told(site: Site, visit: Visit) -> None:
    await site.fail("Max")
    line = replace(make_job(ANIMALS, ["Max"]), candidates=[])
    await site.write(Receipt.failed(line, ANIMALS.name, tries=0, error=problem(Kind.INVALID, "no add")))
    await visit.page.goto("/ui/retry")
    await visit.page.get_by_role("button", name="Send 2 again").click()
    await visit.sees("1 job is on its way")
    await visit.sees("1 cannot be sent: nothing is left of what the job was")
