"""A notice for people says what its rule measured, against what, of which period and what to do, in both languages."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from carbonstream.connectors.warning_rules import packaged_definitions
from carbonstream.processors import notices_second, notices_text
from carbonstream.processors.indicators import INDICATORS
from carbonstream.processors.notices_facts import DECISIVE, KIND_FACTS, decisive, duration, facts, headline
from carbonstream.processors.notices_words import ACTIONS_ZH, FACTS, NAMES, WORDS
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.warnings import Warning as WarningRecord

from .changes import record
from .kinds import EVERY_KIND, of_quality, of_ratio, of_silence, of_target

RULES = set(WarningRecord.model_fields["rule"].annotation.__args__)  # type: ignore[union-attr]
PACKAGED_TS = Path(__file__).parents[2] / "api" / "board" / "src" / "words" / "packaged.ts"
SAID = {
    "target-level": (
        ["CO2", "level 80 %", "total 2320.5 kg", "threshold 2400 kg", "target 3000 kg",
         "as of 2024-05-22 01:00+08:00"],
        ["二氧化碳", "水平 80 %", "累计 2320.5 kg", "限值 2400 kg", "目标 3000 kg", "截至 2024-05-22 01:00+08:00"],
    ),
    "plan-to-date": (
        ["CO2", "total 110.5 kg", "plan 96.774 kg", "target 3000 kg", "as of 2024-05-02 00:00+08:00"],
        ["二氧化碳", "累计 110.5 kg", "计划 96.774 kg", "目标 3000 kg", "截至 2024-05-02 00:00+08:00"],
    ),
    "pace": (
        ["CO2", "used up on 2024-05-28 (earliest 2024-05-27, latest 2024-05-31)",
         "forecast of the period 3384.732 kg (3072.212 to 3488.93)", "target 3000 kg", "total 110.5 kg",
         "as of 2024-05-02 00:00+08:00"],
        ["二氧化碳", "预计 2024-05-28 用完（最早 2024-05-27，最晚 2024-05-31）",
         "期末预测 3384.732 kg（3072.212 至 3488.93）", "目标 3000 kg", "累计 110.5 kg", "截至 2024-05-02 00:00+08:00"],
    ),
    "intensity": (
        ["CO2 intensity 110.5 kg per 10,000 yuan", "target 100 kg per 10,000 yuan", "at prices of 2020",
         "3315 kg over a value added of 30 x 10,000 yuan", "the value added is provisional",
         "as of 2024-05-01 00:00+08:00"],
        ["二氧化碳排放强度 110.5 kg/万元", "目标 100 kg/万元", "按 2020 年价格",
         "排放或能耗 3315 kg，增加值 30 万元", "增加值为暂定数", "截至 2024-05-01 00:00+08:00"],
    ),
    "change-rate": (
        ["CO2 intensity against the period before", "change -12.023 %, target -15 %",
         "intensity 110.5 kg per 10,000 yuan, against 125.602 kg per 10,000 yuan (first quarter of 2024)",
         "at prices of 2020", "the value added is provisional", "as of 2024-05-01 00:00+08:00"],
        ["二氧化碳排放强度环比", "变化率 -12.023 %，目标 -15 %",
         "强度 110.5 kg/万元，2024年第1季度为 125.602 kg/万元", "按 2020 年价格", "增加值为暂定数",
         "截至 2024-05-01 00:00+08:00"],
    ),
    "consistency": (
        ["data missing 1.5 %", "wanted at most 1 %", "day 2024-01-01", "the day is not over",
         "as of 2024-01-01 12:00+08:00"],
        ["缺失数据比例 1.5 %", "应不高于 1 %", "日期 2024-01-01", "当日未结束", "截至 2024-01-01 12:00+08:00"],
    ),
    "silence": (
        ["no reading since 2024-01-01 08:15+08:00", "silent meters: 7", "S0/E0, S0/E1, S0/E2, S0/E3, S0/E4 ..."],
        ["自 2024-01-01 08:15+08:00 起无读数", "静默表计 7 只", "S0/E0, S0/E1, S0/E2, S0/E3, S0/E4 等"],
    ),
    "interval-limit": (
        ["meter S0/E0", "mean rate 211.2 kW", "limit 210 kW", "highest 211.2 kW at 2024-01-01 08:15+08:00",
         "2024-01-01 08:15+08:00 to 2024-01-01 08:30+08:00"],
        ["表计 S0/E0", "均值 211.2 kW", "限值 210 kW", "最高 211.2 kW（2024-01-01 08:15+08:00）",
         "时段 2024-01-01 08:15+08:00 至 2024-01-01 08:30+08:00"],
    ),
    "data-quality": (
        ["75 % of 4 readings unsound, limit 25 %", "questionable 1, estimated 1, rejected 1",
         "2024-01-01 08:00+08:00 to 2024-01-01 09:00+08:00"],
        ["4 条读数中 75 % 不可靠，限值 25 %", "存疑 1，估算 1，拒收 1",
         "时段 2024-01-01 08:00+08:00 至 2024-01-01 09:00+08:00"],
    ),
    "habit": (
        ["meter S0/E0", "value 14 kWh", "expected range 7 to 13 kWh (expected 10 kWh)",
         "2024-02-05 06:00+08:00 to 2024-02-05 07:00+08:00"],
        ["表计 S0/E0", "用量 14 kWh", "预期范围 7 至 13 kWh（预期 10 kWh）",
         "时段 2024-02-05 06:00+08:00 至 2024-02-05 07:00+08:00"],
    ),
    "restatement": (
        ["document: Notice 2024-7", "factor of electricity in 330500 from 2024-01 on",
         "published 2024-01-01 08:00+08:00", "warnings restated at first: 300"],
        ["文件：Notice 2024-7", "330500 电力因子，自 2024-01 起", "发布于 2024-01-01 08:00+08:00",
         "首批涉及预警 300 条"],
    ),
    "common-cause": (
        ["source mqtt/gw-7", "rule: no readings come", "warnings: 12", "at 2024-01-01 08:00+08:00"],
        ["来源 mqtt/gw-7", "规则：无数据上报", "预警 12 条", "时间 2024-01-01 08:00+08:00"],
    ),
    "dispute": (
        ["enterprise:ENT disputes the multiplier of meter S0/E0", "reason: CT was changed (Li Na)",
         "warning interval-limit:site:S0:S0/E0:20240101T080000", "at 2024-01-01 08:00+08:00"],
        ["enterprise:ENT 对表计 S0/E0 的倍率提出异议", "理由：CT was changed（Li Na）",
         "预警 interval-limit:site:S0:S0/E0:20240101T080000", "时间 2024-01-01 08:00+08:00"],
    ),
}  # fmt: skip
SAID["maximum-demand"] = SAID["interval-limit"]


def told_of(made: dict[str, Any], language: str) -> str:
    return notices_text.text(notices_text.entries([made], language))


@pytest.mark.parametrize("kind", sorted(RULES))
def test_each_kind_of_rule_says_its_facts_in_both_languages(kind: str) -> None:
    made = EVERY_KIND[kind]()
    assert made["rule"] == kind
    assert (facts(made, "en"), facts(made, "zh")) == SAID[kind]
    for language in ("en", "zh"):
        told = told_of(made, language)
        assert f"[{NAMES[language].get(made['severity'], made['severity'])}] {made['entity']}" in told
        assert NAMES[language][kind] in told
        assert f"{made['id']} v{made['version']}" in told


@pytest.mark.parametrize("kind", sorted(RULES - {"restatement", "common-cause", "dispute"}))
def test_what_to_do_and_how_soon_is_said_while_it_is_active(kind: str) -> None:
    made = EVERY_KIND[kind]()
    definition = made["snapshot"]["definition"]
    assert f"to do: {definition['action']}, respond within " in told_of(made, "en")
    assert f"处置：{ACTIONS_ZH[definition['action']]}，应在 " in told_of(made, "zh")
    assert "to do" not in told_of(made | {"state": "cleared"}, "en")


def test_a_rule_of_a_users_own_says_what_its_owner_wrote() -> None:
    made = EVERY_KIND["pace"]()
    made["snapshot"]["definition"] |= {"action": "关停二号炉", "respond_s": 5_400}
    assert "处置：关停二号炉，应在 90 分钟内响应" in told_of(made, "zh")


def test_january_the_first_quarter_and_the_year_read_differently() -> None:
    first = date(2024, 1, 1)
    grains = (Grain.MONTH, Grain.QUARTER, Grain.YEAR)
    made = [of_target("plan-to-date", 3_000, grain, first) for grain in grains]
    assert {one["period"] for one in made} == {"2024-01-01"}
    name = "enterprise:ENT above the plan to date"
    assert [headline(one, "en") for one in made] == [
        f"[alert] {name} ({period}), active" for period in ("January 2024", "first quarter of 2024", "whole year 2024")
    ]  # fmt: skip
    assert [headline(one, "zh") for one in made] == [
        f"[预警] enterprise:ENT 累计超过分阶段计划（{period}），触发"
        for period in ("2024年1月", "2024年第1季度", "2024年全年")
    ]  # fmt: skip


def test_a_value_added_that_is_final_is_not_called_provisional() -> None:
    assert FACTS["en"]["provisional"] not in facts(of_ratio("intensity", "100", provisional=False), "en")


def test_a_source_that_reports_again_says_how_long_it_was_silent() -> None:
    said = facts(of_silence("cleared"), "en")
    assert said == ["silent from 2024-01-01 08:50+08:00 to 2024-01-01 13:00+08:00"]


def test_the_quality_of_one_meter_names_it() -> None:
    assert facts(of_quality("meter:S0/E0"), "en")[0] == "meter S0/E0"


def test_a_correction_says_so() -> None:
    made = EVERY_KIND["target-level"]()
    made["snapshot"]["correction"] = True
    assert facts(made, "en")[-1] == "corrects what was told"


def test_a_review_item_is_neither_raised_nor_cleared() -> None:
    made = EVERY_KIND["restatement"]()
    assert made["state"] == "cleared"
    assert headline(made, "en") == "[alert] region:330500 restated by a factor, to be reviewed"


def test_a_record_that_holds_less_is_told_as_far_as_it_goes() -> None:
    assert facts(record(snapshot={}), "en") == ["CO2", "level 80 %"]
    assert facts(record(rule="habit", snapshot={}), "zh") == []
    assert facts(record(rule="of later", snapshot={}), "en") == ["CO2", "at 2024-03-05 09:00+08:00"]


def test_every_rule_and_indicator_has_a_name_and_every_fact_both_languages() -> None:
    for language in ("en", "zh"):
        assert {*RULES, *INDICATORS} <= set(NAMES[language])
        assert {name for names in KIND_FACTS.values() for name in names} <= set(FACTS[language])
    assert set(KIND_FACTS) == RULES
    assert set(FACTS["en"]) == set(FACTS["zh"])
    assert set(WORDS["en"]) == set(WORDS["zh"])


def test_the_actions_of_packaged_rules_are_the_boards() -> None:
    board = PACKAGED_TS.read_text(encoding="utf-8")
    assert set(ACTIONS_ZH) == {definition.action for definition in packaged_definitions()}
    assert [zh for zh in ACTIONS_ZH.values() if f"'{zh}'" not in board] == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45, "45 s"), (90, "90 s"), (1_800, "30 min"), (3_600, "1 h"), (86_400, "24 h"), (604_800, "7 d")],
)
def test_a_time_to_respond_reads_in_whole_units(seconds: int, said: str) -> None:
    assert duration(seconds, "en") == said


NAMED = {"zh": "钢铁厂", "en": "Steel works"}


@pytest.mark.parametrize("kind", sorted(RULES))
def test_an_entity_is_named_with_its_id_in_both_languages(kind: str) -> None:
    made = EVERY_KIND[kind]()
    made |= {"entity_name": NAMED}
    assert f"] 钢铁厂（{made['entity']}） " in headline(made, "zh")
    assert f"] Steel works ({made['entity']}) " in headline(made, "en")
    assert f"钢铁厂（{made['entity']}）" in notices_text.subject([made], "zh")
    assert headline(made | {"entity_name": {"en": made["entity"], "zh": ""}}, "en") == headline(
        EVERY_KIND[kind](), "en"
    )


@pytest.mark.parametrize("kind", sorted(RULES))
def test_a_line_of_a_digest_says_the_decisive_figures_and_since_when(kind: str) -> None:
    made = EVERY_KIND[kind]()
    for language in ("en", "zh"):
        told = decisive(made, language)
        assert 1 <= len(told) <= 4
        if kind not in ("target-level", "plan-to-date", "pace"):
            assert set(told) <= set(facts(made, language))
    line = made | {
        "entity_name": NAMED,
        "since": "2024-05-02T08:00:00+08:00",
        "at": "2024-05-02T09:30:00+08:00",
    }
    (said,) = _digest_lines([line], "en")
    assert said.startswith(f"- {made['severity']} Steel works ({made['entity']}) {NAMES['en'][kind]}, ")
    assert said.endswith(f", 2024-05-02 08:00+08:00 - 2024-05-02 09:30+08:00 [{made['id']}]")
    (still,) = _digest_lines([line | {"at": line["since"]}], "zh")
    assert "，自 2024-05-02 08:00+08:00 [" in still
    assert set(DECISIVE) == set(KIND_FACTS)


def test_a_line_says_what_share_of_the_target_is_used() -> None:
    assert decisive(EVERY_KIND["target-level"](), "en") == [
        "CO2",
        "total 2320.5 kg",
        "77.4 % of the target used",
    ]
    assert decisive(EVERY_KIND["plan-to-date"](), "zh") == [
        "二氧化碳", "累计 110.5 kg", "计划 96.774 kg", "已用目标的 3.7 %"
    ]  # fmt: skip


def test_a_digest_with_long_names_keeps_to_the_channels_length_and_says_what_is_left_out() -> None:
    made = EVERY_KIND["pace"]()
    made |= {
        "entity_name": {"zh": "厂" * 200, "en": "works " * 40},
        "since": made["bucket"],
        "at": made["bucket"],
    }
    content = _digest([made] * 50)
    for language in ("zh", "en"):
        subject = notices_second.subject("digest", content, language)
        told = notices_second.entries("digest", content, language)
        fitted = notices_text.fitted(subject, told, "ntc_1", language, 2_048)
        assert len(fitted.encode()) <= 2_048
        shown = sum(line.startswith("- ") for line in fitted.splitlines())
        assert 0 < shown < 50
        assert fitted.splitlines()[-1] == WORDS[language]["not_shown"].format(50 - shown)


def _digest(lines: list[dict[str, Any]]) -> dict[str, Any]:
    empty: dict[str, Any] = {"count": 0, "warnings": []}
    span = {"from": "2024-05-01T08:00:00+08:00", "until": "2024-05-02T08:00:00+08:00"}
    return {**span, "open": {"count": len(lines), "warnings": lines}, "raised": empty, "cleared": empty}


def _digest_lines(lines: list[dict[str, Any]], language: str) -> list[str]:
    told = notices_second.entries("digest", _digest(lines), language)
    return [one.text for one in told if one.text.startswith("- ")]
