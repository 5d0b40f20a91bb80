"""The words of notices, in Chinese and English. What a dictionary of names lacks is shown as the record has it."""

from __future__ import annotations

from typing import Final

# Severities, states, rules, indicators and what else a record names by a word of its own.
NAMES: Final = {
    "zh": {
        "alarm": "报警", "alert": "预警", "notice": "提示", "active": "触发", "cleared": "解除",
        "target-level": "目标用量达到水平", "plan-to-date": "累计超过分阶段计划", "consistency": "一致性指标未达标",
        "pace": "按当前用量将超出目标", "silence": "无数据上报", "interval-limit": "区间用量超限",
        "maximum-demand": "最大需量超过容量", "data-quality": "数据质量不足", "habit": "偏离惯常用量",
        "intensity": "强度超过目标", "change-rate": "强度变化率超过目标", "restatement": "因子重算，待复核",
        "common-cause": "同一原因", "dispute": "企业异议，待复核",
        "co2": "二氧化碳", "energy": "能耗", "co2-intensity": "二氧化碳排放强度", "energy-intensity": "能耗强度",
        "co2-intensity-change-last-year": "二氧化碳排放强度同比", "energy-intensity-change-last-year": "能耗强度同比",
        "co2-intensity-change-previous": "二氧化碳排放强度环比", "energy-intensity-change-previous": "能耗强度环比",
        "at_least": "不低于", "at_most": "不高于", "below": "低于", "meter": "读数", "multiplier": "倍率",
    },
    "en": {
        "target-level": "target level reached", "plan-to-date": "above the plan to date",
        "consistency": "consistency indicator missed", "pace": "target used up early at this pace",
        "silence": "no readings come", "interval-limit": "above the interval limit",
        "maximum-demand": "demand above capacity", "data-quality": "too many unsound readings",
        "habit": "unlike its habit", "intensity": "intensity above its target",
        "change-rate": "intensity falls too slowly", "restatement": "restated by a factor, to be reviewed",
        "common-cause": "one cause of several warnings", "dispute": "disputed by the enterprise, to be reviewed",
        "co2": "CO2", "energy": "energy", "co2-intensity": "CO2 intensity", "energy-intensity": "energy intensity",
        "co2-intensity-change-last-year": "CO2 intensity against last year",
        "energy-intensity-change-last-year": "energy intensity against last year",
        "co2-intensity-change-previous": "CO2 intensity against the period before",
        "energy-intensity-change-previous": "energy intensity against the period before",
        "at_least": "at least", "at_most": "at most", "meter": "readings",
    },
}  # fmt: skip

# A fact is told where the record has each of its values.
FACTS: Final = {
    "zh": {
        "about": "{indicator_name}", "correction": "更正此前的通知", "until": "截至 {until}", "at": "时间 {at}",
        "slot": "时段 {from} 至 {until}", "total": "累计 {total} {unit}", "level": "水平 {level} %",
        "threshold": "限值 {threshold} {unit}",
        "used": "已用目标的 {used} %",
        "target": "目标 {target} {unit}", "plan": "计划 {plan} {unit}",
        "exhausted": "预计 {exhausted} 用完（最早 {earliest}，最晚 {latest}）",
        "forecast": "期末预测 {forecast} {unit}（{low} 至 {high}）",
        "intensity": "{indicator_name} {intensity} {unit}", "prices": "按 {price_year} 年价格",
        "quotient": "排放或能耗 {amount} {amount_unit}，增加值 {value_added} 万元", "provisional": "增加值为暂定数",
        "change": "变化率 {change_percent} %，目标 {target} %",
        "compared": "强度 {intensity} {intensity_unit}，{other_period}为 {other_intensity} {intensity_unit}",
        "meter": "表计 {meter}", "value": "用量 {value} {unit}",
        "expected": "预期范围 {low} 至 {high} {unit}（预期 {expected} {unit}）",
        "silent": "自 {newest_reading} 起无读数", "meters": "静默表计 {silent_meters} 只", "named": "{named}",
        "silence": "静默 {begun} 至 {at}",
        "rate": "均值 {rate} {rate_unit}", "limit": "限值 {threshold} {rate_unit}",
        "peak": "最高 {peak} {rate_unit}（{peak_at}）",
        "share": "{readings} 条读数中 {share_percent} % 不可靠，限值 {threshold} %",
        "unsound": "存疑 {questionable}，估算 {estimated}，拒收 {rejected}", "of_meter": "表计 {of_meter}",
        "measured": "{name} {value} {unit}", "aim": "应{aim_name} {target} {unit}", "day": "日期 {period}",
        "running": "当日未结束",
        "document": "文件：{document}", "factor": "{scope} {carrier_name}因子，自 {month} 起",
        "published": "发布于 {published_at}", "restated": "首批涉及预警 {children_at_first} 条",
        "disputed": "{enterprise} 对表计 {meter} 的{of_name}提出异议", "reason": "理由：{reason}（{by}）",
        "of_warning": "预警 {warning}", "cause": "来源 {cause}", "of_rule": "规则：{rule_name}",
        "children": "预警 {children_at_first} 条",
        "action": "处置：{action}", "respond": "应在 {respond}内响应",
    },
    "en": {
        "about": "{indicator_name}", "correction": "corrects what was told", "until": "as of {until}", "at": "at {at}",
        "slot": "{from} to {until}", "total": "total {total} {unit}", "level": "level {level} %",
        "threshold": "threshold {threshold} {unit}",
        "used": "{used} % of the target used",
        "target": "target {target} {unit}", "plan": "plan {plan} {unit}",
        "exhausted": "used up on {exhausted} (earliest {earliest}, latest {latest})",
        "forecast": "forecast of the period {forecast} {unit} ({low} to {high})",
        "intensity": "{indicator_name} {intensity} {unit}", "prices": "at prices of {price_year}",
        "quotient": "{amount} {amount_unit} over a value added of {value_added} x 10,000 yuan",
        "provisional": "the value added is provisional",
        "change": "change {change_percent} %, target {target} %",
        "compared":
            "intensity {intensity} {intensity_unit}, against {other_intensity} {intensity_unit} ({other_period})",
        "meter": "meter {meter}", "value": "value {value} {unit}",
        "expected": "expected range {low} to {high} {unit} (expected {expected} {unit})",
        "silent": "no reading since {newest_reading}", "meters": "silent meters: {silent_meters}", "named": "{named}",
        "silence": "silent from {begun} to {at}",
        "rate": "mean rate {rate} {rate_unit}", "limit": "limit {threshold} {rate_unit}",
        "peak": "highest {peak} {rate_unit} at {peak_at}",
        "share": "{share_percent} % of {readings} readings unsound, limit {threshold} %",
        "unsound": "questionable {questionable}, estimated {estimated}, rejected {rejected}",
        "of_meter": "meter {of_meter}",
        "measured": "{name} {value} {unit}", "aim": "wanted {aim_name} {target} {unit}", "day": "day {period}",
        "running": "the day is not over",
        "document": "document: {document}", "factor": "factor of {carrier_name} in {scope} from {month} on",
        "published": "published {published_at}", "restated": "warnings restated at first: {children_at_first}",
        "disputed": "{enterprise} disputes the {of_name} of meter {meter}", "reason": "reason: {reason} ({by})",
        "of_warning": "warning {warning}", "cause": "source {cause}", "of_rule": "rule: {rule_name}",
        "children": "warnings: {children_at_first}",
        "action": "to do: {action}", "respond": "respond within {respond}",
    },
}  # fmt: skip

# What notices say beside facts.
WORDS: Final = {
    "zh": {
        "test": "测试通知", "changes": "{} 条预警变化", "test_body": "此通知只用于测试发送渠道。",
        "not_shown": "未显示的变化：{} 条", "comma": "，",
        "headline": "[{severity}] {entity} {rule}", "named": "{name}（{id}）", "of_period": "（{}）", "since": "自 {}",
        "month": "{year}年{month}月", "quarter": "{year}年第{quarter}季度", "year": "{year}年全年",
        "per_value": "/万元", "d": "{} 天", "h": "{} 小时", "min": "{} 分钟", "s": "{} 秒", "more": " 等",
    },
    "en": {
        "test": "Test notice", "changes": "{} changes of warnings", "test_body": "This notice only tests the channel.",
        "not_shown": "changes not shown: {}",
        "comma": ", ", "headline": "[{severity}] {entity} {rule}", "named": "{name} ({id})",
        "of_period": " ({})", "since": "since {}",
        "month": "{month_name} {year}", "quarter": "{ordinal} quarter of {year}", "year": "whole year {year}",
        "per_value": " per 10,000 yuan", "d": "{} d", "h": "{} h", "min": "{} min", "s": "{} s", "more": " ...",
    },
}  # fmt: skip
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
ORDINALS: Final = ("first", "second", "third", "fourth")

# Actions of the packaged rules, as the board has them (words/packaged.ts). A user's own rule says what its owner wrote.
ACTIONS_ZH: Final = {
    "Compare what is left with the days to come": "对照剩余额度与剩余天数",
    "Curtail what can wait and explain the excess": "压减可延后的用能，并说明超出原因",
    "Find the days above plan and their loads": "找出超计划的日期及其负荷",
    "Bring the load down or move it before that date": "在该日期前降低或转移负荷",
    "Find the meters and sources that fall short and mend them": "找出不达标的表计和数据源并修复",
    "Check the gateway's connection and power; call its site": "检查网关通信与供电，并联系现场",
    "Check the meters and their line; read their registers": "检查表计及线路，抄读表底",
    "Find what grew faster than output": "找出增速快于产出的用能",
    "Compare months and sectors with the period before": "与上期逐月、分领域对比",
}
