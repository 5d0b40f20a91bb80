"""The operators' desk: what nobody has answered cannot be missed, and answering takes a few clicks."""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from . import alarms
from .conftest import Desk
from .test_fitness import CONTRASTS, OVERFLOWS

WORDS = Path(__file__).parents[2] / "api/board/src/words/packaged.ts"
RULES = Path(str(files("carbonstream.schemas") / "reference" / "warning_rules.csv"))


def at_the_desk(desk: Desk, operator: str | None = "王伟", path: str = "") -> Page:
    """The desk, opened from the wall by an operator."""
    desk.server.operator = operator
    desk.server.desk.lay()
    page = desk.open(path)
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")
    page.locator("[data-test=open-desk]").click()
    expect(page.locator(".desk-list .warning")).to_have_count(4)
    return page


def test_the_wall_shows_what_is_to_be_answered_first_in_words_and_counts_what_is_inhibited(
    desk: Desk,
) -> None:
    desk.server.desk.lay()
    page = desk.open()
    items = page.locator(".warnings .warning")
    expect(items).to_have_count(4)
    expect(items.nth(0)).to_contain_text("未确认")
    expect(items.nth(0)).to_have_class("warning is-bad unanswered")
    expect(items.nth(0)).to_contain_text("待企业回复，逾期")
    expect(items.nth(3)).not_to_contain_text("未确认")
    expect(items.nth(3)).to_contain_text("李娜 处理中")
    expect(page.locator("[data-test=unanswered]")).to_have_text("待确认 3")
    expect(page.locator("[data-test=inhibited]")).to_have_text("已抑制 2")


def test_the_desk_says_the_priority_and_its_shares(desk: Desk) -> None:
    page = at_the_desk(desk)
    expect(page.locator(".desk-list .warning").first.locator(".priority")).to_have_text("高优先级")
    expect(page.locator("[data-test=health]")).to_contain_text(
        "低/中/高优先级 %（宜 80/15/5）75.0 / 18.8 / 6.2"
    )
    expect(page.locator(".warnings .priority")).to_have_text(["高优先级"])  # on the wall the high ones alone


def test_the_desk_says_what_to_do_and_how_soon(desk: Desk) -> None:
    page = at_the_desk(desk)
    response = page.locator(".desk-list .warning").first.locator(".response")
    expect(response.locator("summary")).to_have_text("压减可延后的用能，并说明超出原因 24 小时内")
    expect(response.locator("dl")).to_be_hidden()
    response.locator("summary").click()
    expect(response.locator("dl")).to_contain_text("本期目标已用完")
    expect(page.locator(".warnings .response")).to_have_count(0)  # the wall has no room for it


def test_the_packaged_rules_speak_chinese() -> None:
    words = WORDS.read_text()
    with RULES.open(newline="") as file:
        for rule in csv.DictReader(file):
            for column in ("owner", "cause", "consequence", "action"):
                text = rule[column]
                assert re.search(
                    rf"""^  ['"]?{re.escape(text)}['"]?:\s+'[\u4e00-\u9fff]""", words, re.MULTILINE
                ), text


def test_warnings_are_acknowledged_together_with_a_comment(desk: Desk) -> None:
    page = at_the_desk(desk)
    expect(page.locator("[data-test=operator]")).to_have_text("值班员 王伟")
    expect(page.locator("[data-do=acknowledge]")).to_be_disabled()
    page.locator("[data-test=choose-all]").check()
    expect(page.locator("[data-test=chosen]")).to_have_text("已选 4 / 200")
    page.locator("[data-test=why]").fill("已通知车间")
    page.locator("[data-do=acknowledge]").click()
    expect(page.locator("[data-test=said]")).to_have_text("已执行 3 条")
    (command,) = desk.server.desk.commands
    body = command["body"]
    assert (body["kind"], body["why"], len(body["warnings"])) == ("acknowledge", "已通知车间", 3)
    assert body["versions"] == {w["id"]: w["version"] for w in alarms.WARNINGS if w["id"] in body["warnings"]}
    expect(page.locator(".desk-list .unanswered")).to_have_count(0)
    assert desk.complaints == []


def test_a_shelf_needs_a_reason_and_says_until_when(desk: Desk) -> None:
    page = at_the_desk(desk)
    page.locator(".desk-list input[type=checkbox]").first.check()
    expect(page.locator("[data-do=shelve]")).to_be_disabled()
    page.locator("[data-test=why]").fill("阀门检修")
    page.locator("[data-test=hours]").select_option("24")
    page.locator("[data-do=shelve]").click()
    expect(page.locator("[data-test=said]")).to_have_text("已执行 1 条")
    assert desk.server.desk.commands[0]["body"]["until"].startswith("2026-03-19T")
    page.locator("[data-tab=inhibited]").click()
    shelved = page.locator(".desk-list .warning", has_text="阀门检修")
    expect(shelved).to_contain_text("王伟")
    expect(shelved).to_contain_text("至 03-19")
    shelved.locator("input").check()
    page.locator("[data-do=unshelve]").click()
    expect(page.locator("[data-test=said]")).to_have_text("已执行 1 条")


def test_the_hand_over_lists_what_is_open_and_aside_and_what_was_done(desk: Desk) -> None:
    page = at_the_desk(desk)
    page.locator("[data-tab=handover]").click()
    handover = page.locator("[data-test=handover]")
    expect(handover.locator("[data-part=open] li")).to_have_count(4)
    expect(handover.locator("[data-part=shelved]")).to_contain_text("李娜: 更换传感器")
    expect(handover.locator("[data-part=changed]")).to_contain_text("搁置")
    expect(handover).to_contain_text("历史预警 1 条，仅汇总")
    expect(page.locator("[data-test=health]")).to_contain_text("1.5 条/10 分钟 可应付")


def test_who_only_reads_is_told_how_to_answer_and_has_no_buttons(desk: Desk) -> None:
    page = at_the_desk(desk, operator=None)
    expect(page.locator("[data-test=operator]")).to_contain_text("carbonstream link --operator")
    expect(page.locator("[data-do]")).to_have_count(0)
    expect(page.locator(".desk-list input")).to_have_count(0)
    assert desk.complaints == []


def test_what_another_operator_did_is_seen_without_a_reload(desk: Desk) -> None:
    desk.server.desk.lay()
    page = desk.open()
    expect(page.locator(".connection")).to_have_attribute("data-status", "live")
    expect(page.locator("[data-test=unanswered]")).to_have_text("待确认 3")
    one = desk.server.desk.warnings[1]
    desk.server.desk.take({"kind": "acknowledge", "warnings": [one["id"]]}, "李娜")
    told = {
        "operation": "acknowledge", "warning": one["id"], "entity": one["entity"], "change": 2,
        "from_state": "active-unacked", "to_state": "active-acked", "at": alarms.NOW.isoformat(),
        "by": "李娜", "why": "",
    }  # fmt: skip
    assert desk.server.send("operation", told) == 1
    expect(page.locator("[data-test=unanswered]")).to_have_text("待确认 2")
    expect(page.locator(f"[data-id='{one['id']}']")).to_have_attribute("data-operator", "active-acked")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_desk_can_be_read_and_nothing_of_it_is_cut_off(
    desk: Desk, theme: Literal["dark", "light"]
) -> None:
    desk.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page = at_the_desk(desk)
    assert page.evaluate(CONTRASTS) == []
    assert page.evaluate(OVERFLOWS) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate(OVERFLOWS) == []
