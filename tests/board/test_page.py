"""What the page shows: languages, figures and their making, periods, warnings."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from . import park
from .conftest import Desk

TODAY_CO2 = "[data-test=today-co2]"
PLANT = f"#entity={park.REPLAYED.replace(':', '%3A')}"


def test_chinese_is_shown_first_whatever_the_browser_prefers_and_english_is_one_click_away(
    desk: Desk,
) -> None:
    page = desk.open()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_role("heading", name="预警")).to_be_visible()
    page.get_by_role("button", name="切换到英文").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", name="Warnings")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(re.compile("预警|今日"))


def test_the_chosen_language_and_theme_are_kept(desk: Desk) -> None:
    page = desk.open()
    page.get_by_role("button", name="切换到英文").click()
    page.get_by_role("button", name="Switch between dark and light").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_total_of_today_is_the_exact_sum_of_its_hours_rounded_once(desk: Desk) -> None:
    page = desk.open()
    midnight = park.NOW.replace(hour=0, minute=0, second=0)
    exact = park.figures("park:HZ-01", midnight, park.NEWEST)["co2_kg"]
    assert exact == "110243.8722876"
    expect(page.locator(TODAY_CO2)).to_contain_text("110.244")


def test_missing_readings_are_said_in_words(desk: Desk) -> None:
    page = desk.open()
    expect(page.locator("[data-test=today-status]")).to_contain_text("不完整:缺 3 条读数".replace(":", "："))


def test_a_missing_coefficient_gives_no_figure_and_names_the_carrier(desk: Desk) -> None:
    page = desk.open("#entity=enterprise%3AENT-3")
    expect(page.locator("[data-test=today-status]")).to_contain_text("缺少焦炭的排放因子")
    expect(page.locator(TODAY_CO2)).to_contain_text("—")
    expect(page.locator(TODAY_CO2)).not_to_contain_text("0.000")
    page.locator(TODAY_CO2).click()
    expect(page.get_by_role("dialog")).to_contain_text("缺少排放因子")


def test_a_figure_explains_itself(desk: Desk) -> None:
    page = desk.open()
    # a click before the streams are heard would meet a figure that is read once more
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")
    expect(page.locator(TODAY_CO2)).to_contain_text("110.244")
    page.locator(TODAY_CO2).click()
    dialog = page.get_by_role("dialog")
    for said in (
        "221,640.274",
        "0.4974 kgCO2/kWh",
        "= 110,243.8722876 kgCO2",
        "浙江省",
        "2023-12",
        "27 个月",
        "2023 年数据",
    ):
        expect(dialog).to_contain_text(said)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_bar_of_the_curve_explains_itself(desk: Desk) -> None:
    page = desk.open()
    chart = page.locator(".chart")
    chart.locator("canvas").wait_for()
    box = chart.bounding_box()
    assert box is not None
    # the column of 09:00 is the tenth of 24; the axis takes some of the width
    page.mouse.click(box["x"] + box["width"] * 0.42, box["y"] + box["height"] * 0.5)
    expect(page.get_by_role("dialog")).to_contain_text("03-18 09:00–10:00")


def test_the_curve_stands_as_a_table_too(desk: Desk) -> None:
    page = desk.open()
    page.locator("[data-test=as-table]").click()
    rows = page.locator(".period tbody tr")
    expect(rows).to_have_count(24)  # yesterday's hours stand beside those to come
    expect(rows.nth(9)).to_contain_text("10.485")
    expect(rows.nth(20).locator("td").first).to_have_text("—")


def test_old_data_are_offered_instead_of_an_empty_chart(desk: Desk) -> None:
    page = desk.open(PLANT + "&view=year-months")
    expect(page.locator(".nothing")).to_contain_text("最新数据在 2024-12-30")
    page.locator("[data-test=newest]").click()
    expect(page.locator("[data-test=year]")).to_have_value("2024")
    expect(page.locator("[data-test=period-co2]")).to_contain_text("633.204")
    assert "period=2024" in page.url


def test_a_past_year_can_be_browsed_by_months_days_and_hours(desk: Desk) -> None:
    page = desk.open(PLANT + "&view=year-months&period=2024")
    page.locator("[data-test=as-table]").click()
    rows = page.locator(".period tbody tr")
    expect(rows).to_have_count(12)
    page.locator("[data-view=year-days]").click()
    expect(rows).to_have_count(365)  # the 366th day was not read
    page.locator("[data-view=month-days]").click()
    expect(rows.first).to_contain_text("2024-01-01")
    page.locator("[data-test=previous]").click()
    expect(page.locator("[data-test=month]")).to_have_value("12")
    expect(page.locator("[data-test=year]")).to_have_value("2023")
    page.locator("[data-test=next]").click()
    page.locator("[data-test=next]").click()
    expect(rows).to_have_count(29)
    page.locator("[data-view=day-hours]").click()
    expect(rows.first).to_contain_text("02-01 00:00")


def test_an_entity_is_found_by_its_name(desk: Desk) -> None:
    page = desk.open()
    page.locator("#entity").click()
    page.locator("#entity").fill("模拟钢铁")
    page.get_by_role("option", name="模拟钢铁厂 1").click()
    expect(page.locator("#entity")).to_have_value("模拟钢铁厂 1")
    assert "enterprise%3AENT-1" in page.url
    page.reload()
    expect(page.locator("#entity")).to_have_value("模拟钢铁厂 1")


def test_warnings_stand_active_first_and_newest_first_with_names_and_marks(desk: Desk) -> None:
    page = desk.open()
    items = page.locator(".warning")
    expect(items).to_have_count(6)
    expect(items.nth(0)).to_contain_text(re.compile("报警.*模拟钢铁厂 1.*100 %"))
    expect(items.nth(0)).to_contain_text("1,950.412 / 1,950.000 t")
    expect(items.nth(1)).to_contain_text(re.compile("超出计划进度.*148.000 / 141.000 tce"))
    expect(items.nth(4)).to_contain_text("回填")
    expect(items.nth(5)).to_contain_text("已解除")
    expect(page.locator("[data-test=active]")).to_have_text("进行中 5")


def test_freshness_says_the_age_the_completeness_and_the_late_partition(desk: Desk) -> None:
    page = desk.open()
    fresh = page.locator(".fresh")
    expect(fresh).to_contain_text("99.8 %")
    expect(fresh.locator("[data-fresh=ok]")).to_contain_text("3 分 2")
    expect(fresh).to_contain_text(re.compile("1 个迟到：告警与估算落后 .*[秒分]"))


def test_an_age_past_the_limit_is_said_in_words(desk: Desk) -> None:
    page = desk.open(PLANT)
    expect(page.locator("[data-fresh=late]")).to_contain_text("超过 15 分钟限值")


def test_a_stranger_is_told_how_to_sign_in(desk: Desk) -> None:
    desk.server.signed_in = False
    page = desk.open()
    expect(page.get_by_role("heading", name="尚未登录")).to_be_visible()
    expect(page.locator("main")).to_contain_text("一次性链接")
    expect(page.locator("main")).to_contain_text("carbonstream link")
