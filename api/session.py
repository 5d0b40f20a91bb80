"""Signing in: /login swaps a one-time code for a cookie, and `authorised` guards every /v1 route.

A session reads only: commands ask for the bearer token, so a forged request of a browser can change nothing. Only
the session of a named operator may answer warnings, in that name, and only for requests of the board's own pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from carbonstream.api import auth
from carbonstream.api.problems import Problem
from carbonstream.api.services import Services, services

router = APIRouter(include_in_schema=False)
_bearer = HTTPBearer(auto_error=False, description="settings.api_token (CARBONSTREAM_API_TOKEN)")
_cookie = APIKeyCookie(name=auth.COOKIE, auto_error=False, description="made by /login from a one-time link")

REFUSED = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Carbonstream</title>
<h1>此登录链接无效、已使用或已过期</h1>
<p>链接只能使用一次，10 分钟内有效。请运行 <code>carbonstream link</code> 获取新链接；
若您已登录，请直接打开 <a href="/">看板</a>。</p>
<h1 lang="en">This sign-in link is wrong, used or expired</h1>
<p lang="en">A link works once, within 10 minutes. Run <code>carbonstream link</code> for a new one;
if you are signed in already, open the <a href="/">board</a>.</p></html>"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `until`: UTC second at which the session ends; None for the bearer token. operator: whose session."""

    until: float | None
    operator: str | None = None


async def authorised(
    here: Annotated[Services, Depends(services)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    session: Annotated[str | None, Depends(_cookie)],
) -> Caller:
    """The caller, by bearer token or session cookie. Raises Problem 401 where neither is good."""
    token = here.settings.api_token
    if bearer is not None:
        if auth.token_matches(token, bearer.credentials):
            return Caller(None)
        raise _unauthorised("the bearer token is not this server's")
    if session is not None:
        expiry = auth.session_expiry(token, session, here.now_ms() / 1_000)
        if expiry is not None:
            return Caller(expiry, auth.operator_of(session) or None)
        raise _unauthorised("the session has ended")
    raise _unauthorised("no bearer token and no session")


async def commanding(caller: Annotated[Caller, Depends(authorised)]) -> None:
    """Let commands pass. Raises Problem 403 for a browser's session."""
    if caller.until is not None:
        raise Problem(403, "a session only reads", remedy="send `Authorization: Bearer TOKEN`")


async def operating(request: Request, caller: Annotated[Caller, Depends(authorised)]) -> Caller:
    """Let operators' commands pass: the bearer token, or an operator's session. Raises Problem 403 for others.

    The cookie is SameSite=Strict; a browser that tells where a request comes from is believed as well.
    """
    if caller.until is not None and caller.operator is None:
        raise Problem(
            403,
            "this session only reads",
            remedy="sign in with a link of `carbonstream link --operator NAME`",
        )
    if caller.until is not None and request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Problem(
            403, "the request comes from another site", remedy="answer warnings on the board itself"
        )
    return caller


def _unauthorised(detail: str) -> Problem:
    return Problem(
        401,
        detail,
        remedy="send `Authorization: Bearer TOKEN` with CARBONSTREAM_API_TOKEN, or run `carbonstream link`",
        headers={"WWW-Authenticate": "Bearer"},
    )


@router.get("/login")
async def login(request: Request, here: Annotated[Services, Depends(services)], code: str = "") -> Response:
    """Swap a one-time code for a session and go to the board."""
    now = here.now_ms() / 1_000
    expiry = auth.code_expiry(here.settings.api_token, code, now)
    if expiry is None or not here.used_codes.take(code, expiry, now):
        return HTMLResponse(REFUSED, 403, headers={"Cache-Control": "no-store"})
    answer = RedirectResponse("/", 303, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        auth.COOKIE,
        auth.new_session(here.settings.api_token, now, auth.operator_of(code)),
        max_age=auth.SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer
