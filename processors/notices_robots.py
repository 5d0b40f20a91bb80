"""Group robots of WeCom, DingTalk, Feishu and Lark: what is posted to them, and what their answer means.

A robot answers HTTP 200 to what it refuses, with a code in the body, so the status alone would book a lost notice as
sent. Addresses are written as the library apprise writes them.

Sources: developer.work.weixin.qq.com/document/path/91770 and 90313 (WeCom), open.dingtalk.com/document/robots/
custom-robot-access (DingTalk), open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (Feishu, Lark); and, for codes
that these leave out (93000, 300001, 300005, 660026, 90030, 9499, 19001, 19007), answers that users recorded.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from carbonstream.processors.notices_delivery import Answer, Outcome, http_answer

BASES: Final[Mapping[str, str]] = {
    "wecombot": "https://qyapi.weixin.qq.com",
    "dingtalk": "https://oapi.dingtalk.com",
    "feishu": "https://open.feishu.cn",
    "lark": "https://open.larksuite.com",
}
WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
# Of the text (WeCom) or the request (the others); we hold the request to it.
MOST_BYTES: Final = {"wecombot": 2_048, "dingtalk": 20_000, "feishu": 20_000, "lark": 20_000}
# WeCom counts 20 a minute, Feishu 100; DingTalk, after 20 in a minute, takes nothing for ten.
REST_S: Final = {"wecombot": 60, "dingtalk": 600, "feishu": 60, "lark": 60}
# LATER: too fast. GONE: the token leads to no robot, or its group is disbanded. REFUSED: the robot's own settings do,
# by signature, key words or the sender's address, or it is stopped. Any other code may pass.
FEISHU: Final = {
    11232: Outcome.LATER, 19001: Outcome.GONE, 19007: Outcome.REFUSED, 19021: Outcome.REFUSED, 19022: Outcome.REFUSED,
    19024: Outcome.REFUSED,
}  # fmt: skip
MEANINGS: Final[Mapping[str, Mapping[int, Outcome]]] = {
    "wecombot": {45009: Outcome.LATER, 45033: Outcome.LATER, 93000: Outcome.GONE},
    "dingtalk": {
        90030: Outcome.LATER, 130101: Outcome.LATER, 410100: Outcome.LATER, 660026: Outcome.LATER,
        300001: Outcome.GONE, 300005: Outcome.GONE, 400013: Outcome.GONE, 400101: Outcome.GONE, 400106: Outcome.GONE,
        310000: Outcome.REFUSED, 400102: Outcome.REFUSED,
    },
    "feishu": FEISHU,
    "lark": FEISHU,
}  # fmt: skip
WECOM_BAD_KEY: Final = 93000  # of an unknown key, and of a request it does not like: the words tell which
FEISHU_BAD_REQUEST: Final = 9499  # of a malformed request, and of too many: the words tell which
CODES: Final = range(-(2**31), 2**31)  # a receipt's column


@dataclass(frozen=True, slots=True)
class Robot:
    """Where a message goes."""

    kind: str
    token: str
    secret: str | None = None  # DingTalk: signs
    mobiles: tuple[str, ...] = ()  # DingTalk: who is mentioned


def is_robot(address: str) -> bool:
    """Whether an address is one of a robot."""
    return urlsplit(address).scheme in BASES


def robot_of(address: str) -> Robot:
    """The robot of an address. Raises ValueError with the remedy."""
    parts = urlsplit(address)
    kind = parts.scheme
    user, _, host = parts.netloc.rpartition("@")  # hostname would be in lower case
    given = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
    token = given.get("key" if kind == "wecombot" else "token") or unquote(host)
    if not WORD.fullmatch(token):
        raise ValueError(f"{kind}: an address is {kind}://TOKEN, the last part of the robot's webhook")
    if kind != "dingtalk":
        return Robot(kind, token)
    secret = given.get("secret") or unquote(user.partition(":")[0]) or None
    if secret is not None and not WORD.fullmatch(secret):
        raise ValueError("dingtalk: an address with a secret is dingtalk://SECRET@TOKEN")
    named = [*unquote(parts.path).split("/"), *given.get("to", "").split(",")]
    digits = (re.sub(r"[\s()+-]", "", one) for one in named)
    return Robot(kind, token, secret, tuple(one for one in digits if re.fullmatch(r"[0-9]{11,14}", one)))


def url(robot: Robot, base: str, now: datetime) -> str:
    """Where it is posted; DingTalk's signature holds for an hour around `now`."""
    if robot.kind == "wecombot":
        return f"{base}/cgi-bin/webhook/send?{urlencode({'key': robot.token})}"
    if robot.kind != "dingtalk":
        return f"{base}/open-apis/bot/v2/hook/{robot.token}"
    query = {"access_token": robot.token}
    if robot.secret is not None:
        stamp = str(round(now.timestamp() * 1_000))
        signed = hmac.digest(robot.secret.encode(), f"{stamp}\n{robot.secret}".encode(), "sha256")
        query |= {"timestamp": stamp, "sign": b64encode(signed).decode()}
    return f"{base}/robot/send?{urlencode(query)}"


def body(robot: Robot, text: str) -> bytes:
    """What is posted."""
    content: dict[str, Any]
    if robot.kind in ("feishu", "lark"):
        content = {"msg_type": "text", "content": {"text": text}}
    else:
        content = {"msgtype": "text", "text": {"content": text}}
    if robot.mobiles:
        content["at"] = {"atMobiles": robot.mobiles, "isAtAll": False}
    return json.dumps(content, ensure_ascii=False).encode()


def room(robot: Robot) -> int:
    """Bytes that a text may have in JSON."""
    return MOST_BYTES[robot.kind] - len(body(robot, ""))


def robot_answer(robot: Robot, status: int, said: bytes, retry_after: str | None, now: datetime) -> Answer:
    """What an answer means: its code, and the HTTP status where it has none."""
    code, words = _code(robot.kind, said)
    if code is None or (code == 0 and not 200 <= status < 300):
        answer = http_answer(status, retry_after, now)
        if answer.outcome is Outcome.ACCEPTED:
            return Answer(Outcome.FAILED, status, "the answer has no code")
        return answer
    if code == 0:
        return Answer(Outcome.ACCEPTED, code, "")
    detail = f"code {code}: {words}"[:200]
    outcome = _meaning(robot.kind, code, words.lower())
    at = now + timedelta(seconds=REST_S[robot.kind]) if outcome is Outcome.LATER else None
    return Answer(outcome, code, detail, at)


def _meaning(kind: str, code: int, words: str) -> Outcome:
    if kind == "wecombot" and code == WECOM_BAD_KEY and "webhook" not in words:
        return Outcome.FAILED
    if kind in ("feishu", "lark") and code == FEISHU_BAD_REQUEST and re.search("too many|limit", words):
        return Outcome.LATER
    return MEANINGS[kind].get(code, Outcome.FAILED)


def _code(kind: str, said: bytes) -> tuple[int | None, str]:
    """Code and words of an answer; no code where it is not one of the service's."""
    try:
        content = json.loads(said)
    except ValueError:
        return None, ""
    if not isinstance(content, dict):
        return None, ""
    if kind in ("feishu", "lark"):
        code = content.get(
            "code", content.get("StatusCode")
        )  # older answers of success have the latter alone
        words = content.get("msg")
    else:
        code, words = content.get("errcode"), content.get("errmsg")
    if type(code) is not int or code not in CODES:
        return None, ""
    return code, " ".join(str(words or "").split())
