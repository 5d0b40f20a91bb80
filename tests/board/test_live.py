"""What changes on the page by itself, and what it says when nothing can."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from . import alarms, park
from .conftest import Desk

PARK = "park:HZ-01"
HOUR = park.NEWEST  # the hour under way
TODAY_CO2 = "[data-test=today-co2]"


def live(desk: Desk) -> Page:
    """The board once it has heard its streams and shows today's total."""
    page = desk.open()
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")
    expect(page.locator(TODAY_CO2)).to_contain_text("110.244")
    return page


def test_a_streamed_total_appears_without_a_reload(desk: Desk) -> None:
    page = live(desk)
    page.evaluate("window.still_the_same = true")
    page.locator("[data-test=as-table]").click()
    assert desk.server.send("total", park.streamed(PARK, HOUR, "1000.1277124")) == 1
    # 110,243.8722876 + 1,000.1277124 kg
    expect(page.locator(TODAY_CO2)).to_contain_text("111.244")
    expect(page.locator(".period tbody tr").nth(HOUR.hour)).to_contain_text("1.000")
    assert page.evaluate("window.still_the_same") is True


def test_a_total_is_absolute_and_replaces_the_one_before(desk: Desk) -> None:
    page = live(desk)
    for co2_kg in ("500000", "1000.1277124", "1000.1277124"):
        desk.server.send("total", park.streamed(PARK, HOUR, co2_kg))
    expect(page.locator(TODAY_CO2)).to_contain_text("111.244")


def test_a_streamed_warning_comes_to_the_top_and_is_cleared_in_place(desk: Desk) -> None:
    page = live(desk)
    raised = alarms.warning(
        "enterprise:ENT-2", "100", "alarm", hours_ago=-1, value="1380001", target="1380000"
    )
    assert desk.server.send("warning", raised) == 1
    first = page.locator(".warning").first
    expect(first).to_have_attribute("data-id", raised["id"])
    expect(first).to_contain_text("模拟水泥厂 1")
    expect(page.locator("[data-test=active]")).to_have_text("进行中 6")
    desk.server.send("warning", {**raised, "version": 2, "state": "cleared"})
    expect(page.locator(f"[data-id='{raised['id']}']")).to_have_attribute("data-state", "cleared")
    expect(page.locator("[data-test=active]")).to_have_text("进行中 5")


def test_another_entity_leaves_the_page_alone(desk: Desk) -> None:
    page = live(desk)
    assert desk.server.send("total", park.streamed("enterprise:ENT-1", HOUR, "777000")) == 0
    desk.server.send("total", park.streamed(PARK, HOUR, "1000.1277124"))
    expect(page.locator(TODAY_CO2)).to_contain_text("111.244")


def test_figures_are_marked_when_the_heartbeats_stop_and_freed_when_they_return(desk: Desk) -> None:
    page = live(desk)
    desk.server.fall_silent()
    page.clock.fast_forward(12_000)  # of 25: on a busy machine looking takes seconds of its own
    expect(page.locator(".clock")).to_contain_text("14:03:3")
    expect(page.locator(".board")).to_have_attribute("data-stale", "false")
    page.clock.fast_forward(14_000)
    expect(page.locator(".board")).to_have_attribute("data-stale", "true")
    expect(page.get_by_role("alert")).to_contain_text("不是实时数据")
    for panel in (".today", ".fresh", ".industry", ".enterprise", ".period"):
        expect(page.locator(panel)).to_contain_text("非实时")
    expect(page.locator("[data-fresh=disconnected]")).to_contain_text("连接中断")
    desk.server.speak()
    expect(page.locator(".board")).to_have_attribute("data-stale", "false")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_lost_stream_is_said_and_comes_back_by_itself(desk: Desk) -> None:
    page = live(desk)
    page.evaluate(
        """() => {
          window.seen = []
          const at = document.querySelector('.connection')
          window.back = new Promise((resolve) => {
            new MutationObserver(() => {
              window.seen.push(at.dataset.status)
              if (at.dataset.status === 'live') resolve(window.seen)
            }).observe(at, { attributes: true, attributeFilter: ['data-status'] })
          })
        }"""
    )
    desk.server.hang_up()
    assert page.evaluate("window.back")[0] == "reconnecting"
    desk.server.send("total", park.streamed(PARK, HOUR, "1000.1277124"))
    expect(page.locator(TODAY_CO2)).to_contain_text("111.244")


def test_an_outage_of_the_database_is_said_and_ends(desk: Desk) -> None:
    page = live(desk)
    desk.server.database = False
    page.clock.fast_forward(10_000)  # the next question
    expect(page.locator(".connection")).to_have_attribute("data-status", "database-away")
    expect(page.locator(".connection")).to_contain_text("数据库中断")
    expect(page.locator(".today")).to_contain_text("非实时")
    desk.server.database = True
    page.clock.fast_forward(10_000)
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")


def test_an_outage_of_kafka_is_said(desk: Desk) -> None:
    page = live(desk)
    desk.server.kafka = "away"
    desk.server.speak()
    expect(page.locator(".connection")).to_contain_text("消息队列中断")


def test_a_desk_with_a_wrong_clock_shows_the_servers_day(desk: Desk) -> None:
    desk.page.clock.install(time=park.NOW.replace(year=2027))
    page = live(desk)
    expect(page.locator(".clock")).to_contain_text("2026-03-18")
    expect(page.locator("[data-test=year]")).to_have_value("2026")


def test_a_session_that_ends_leads_to_the_sign_in_page(desk: Desk) -> None:
    page = live(desk)
    desk.server.signed_in = False
    page.clock.fast_forward(10_000)
    expect(page.get_by_role("heading", name="尚未登录")).to_be_visible()


def test_a_page_that_was_hidden_reads_everything_again_when_it_is_seen(desk: Desk) -> None:
    page = live(desk)
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }"""
    page.evaluate(hide, True)
    with page.expect_request("**/v1/totals**"), page.expect_request("**/v1/stream?topics=totals**"):
        page.evaluate(hide, False)
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")
    desk.server.send("total", park.streamed(PARK, HOUR, "1000.1277124"))
    expect(page.locator(TODAY_CO2)).to_contain_text("111.244")
