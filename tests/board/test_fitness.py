"""Fit for a control room: nothing refused, nothing cut off, every control by keyboard, enough contrast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from . import park
from .conftest import Desk, make_desk
from .fixture_server import FixtureServer

SIZES = [(1920, 1080), (1280, 800), (390, 844)]
CONTRASTS = """() => {
  const channel = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const parse = (text) => text.match(/[\\d.]+/g).map(Number)
  const ground = (at) => {
    for (; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor)
      if (colour.length === 3 || colour[3] === 1) return colour
    }
    return [0, 0, 0]
  }
  const poor = []
  for (const at of document.querySelectorAll('body *')) {
    const written = [...at.childNodes].some((one) => one.nodeType === 3 && one.data.trim())
    if (!written || !at.checkVisibility() || at.closest('button:disabled, option, .hidden, .skip')) continue
    const [a, b] = [luminance(parse(getComputedStyle(at).color)), luminance(ground(at))]
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (contrast < 4.5) poor.push(`${at.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`)
  }
  return poor
}"""
OVERFLOWS = """() => {
  const cut = []
  const page = document.documentElement
  if (page.scrollWidth > innerWidth) cut.push(`page ${page.scrollWidth} > ${innerWidth}`)
  for (const panel of document.querySelectorAll('.panel, header.top, .ticks li, .canvas')) {
    const wide = panel.scrollWidth - panel.clientWidth
    const high = panel.scrollHeight - panel.clientHeight
    if (wide > 1 || high > 1) cut.push(`${panel.className}: ${wide} too wide, ${high} too high`)
  }
  return cut
}"""


@pytest.fixture(params=["zh-CN", "en"])
def language(request: pytest.FixtureRequest) -> str:
    """What the operator chose."""
    return str(request.param)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def sized(
    browser: Browser, server: FixtureServer, language: str, request: pytest.FixtureRequest
) -> Iterator[Desk]:
    """A window of each size in each language."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark")
    context.add_init_script(f"localStorage.setItem('carbonstream.language', '{language}')")
    yield make_desk(context, server)
    context.close()


def complete(desk: Desk, path: str = "") -> Page:
    """The board with all it has to show."""
    page = desk.open(path)
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")
    page.locator(".chart canvas").wait_for()
    expect(page.locator(".warning")).to_have_count(6)
    expect(page.locator(".ticks li")).to_have_count(8)
    return page


def lose_the_database(desk: Desk) -> None:
    """The longest words that the header and the panels ever say."""
    desk.server.database = False
    desk.page.clock.fast_forward(10_000)
    expect(desk.page.locator(".board")).to_have_attribute("data-stale", "true")


def test_nothing_is_cut_off_and_wide_screens_need_no_scrolling(sized: Desk) -> None:
    page = complete(sized)
    width = page.viewport_size["width"] if page.viewport_size else 0
    for happening in (lambda desk: None, lose_the_database):
        happening(sized)
        assert page.evaluate(OVERFLOWS) == []
        if width >= 1280:
            assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_text_has_enough_contrast(desk: Desk, theme: Literal["dark", "light"]) -> None:
    desk.page.emulate_media(color_scheme=theme)
    page = complete(desk)
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    assert page.evaluate(CONTRASTS) == []
    lose_the_database(desk)
    assert page.evaluate(CONTRASTS) == []


def test_nothing_is_refused_by_the_policy_or_complained_of(desk: Desk) -> None:
    page = complete(desk)
    box = page.locator(".chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    expect(page.locator(".card")).to_contain_text("kWh")
    page.locator("[data-view=year-days]").click()
    page.locator("button[data-test=period-co2]").click()
    expect(page.get_by_role("dialog")).to_contain_text("0.4974")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="切换深浅色主题").click()
    assert desk.complaints == []


def test_nothing_is_loaded_from_elsewhere(desk: Desk) -> None:
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    complete(desk)
    assert [url for url in asked if not url.startswith(desk.server.address)] == []


def test_every_control_is_reached_and_seen_by_keyboard(desk: Desk) -> None:
    page = complete(desk)
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('button:not(:disabled), select, input')]
          .filter((at) => at.checkVisibility()).map((at, i) => (at.dataset.control = String(i)))"""
    )
    reached: set[str] = set()
    for _ in range(len(wanted) + 12):
        page.keyboard.press("Tab")
        control, outline = page.evaluate(
            """() => {
              const at = document.activeElement
              return [at.dataset.control, getComputedStyle(at).outlineStyle]
            }"""
        )
        if control is not None:
            reached.add(control)
            assert outline != "none"
    assert reached == set(wanted)


def test_the_entity_is_chosen_by_keyboard(desk: Desk) -> None:
    page = complete(desk)
    page.locator("#entity").focus()
    page.keyboard.press("Enter")
    options = page.locator("#entities [role=option]")
    expect(options).to_have_count(len(park.ENTITIES))
    page.keyboard.type("steel plant")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#entity")).to_have_value("钢铁厂（2024 年回放）")
    expect(page.locator("#entity")).to_have_attribute("aria-expanded", "false")


def test_states_are_told_in_words_and_shapes_not_by_colour_alone(desk: Desk) -> None:
    page = complete(desk)
    for marked in page.locator(".is-ok, .is-late, .is-bad, .is-cleared").all():
        assert marked.evaluate("(at) => (at.closest('p, li, dd, div') ?? at).textContent.trim() !== ''")
    shapes = page.locator(".warning .severity svg").evaluate_all("(all) => all.map((one) => one.innerHTML)")
    words = page.locator(".warning .severity").all_inner_texts()
    assert len(set(zip(words, shapes, strict=True))) == len(set(words)) == len(set(shapes)) == 4


def test_the_figures_do_not_wait_for_the_chart(desk: Desk) -> None:
    desk.page.route("**/EmissionChart-*.js", lambda route: None)  # never answered
    page = desk.open()
    expect(page.locator("[data-test=today-co2]")).to_contain_text("110.244")
    expect(page.locator(".warning")).to_have_count(6)
