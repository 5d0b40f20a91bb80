"""Who may read: bearer token, one-time links, sessions; and what every answer carries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from carbonstream.api import auth
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from tests.api import plant
from tests.api.conftest import TOKEN, Served, served

NOW_S = plant.NOW.timestamp()


@pytest.fixture
def stranger(api: Served) -> httpx.Client:
    """A client without token or cookie."""
    return api.client(token=None)


def test_every_v1_path_needs_authorisation(api: Served, stranger: httpx.Client) -> None:
    paths = [p for p in api.app.openapi()["paths"] if p.startswith("/v1")]
    assert len(paths) >= 11
    for path in [*paths, "/v1/nothing/here"]:
        answer = stranger.get(path.format(entity_id="x", meter_id="a/b", warning_id="x", id_="1"))
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_commands_need_the_bearer_token(api: Served, stranger: httpx.Client) -> None:
    paths = api.app.openapi()["paths"]
    assert {m for path in paths.values() for m in path} == {"get", "post"}
    commands = [path for path, methods in paths.items() if "post" in methods]
    cookies = {auth.COOKIE: auth.new_session(TOKEN, NOW_S)}
    with httpx.Client(base_url=api.url, cookies=cookies, trust_env=False) as browser:
        for path in commands:
            body = {"by": "a person"}
            assert stranger.post(path.format(id_="1"), json=body).status_code == 401, path
            assert browser.post(path.format(id_="1"), json=body).status_code == 403, path


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer \u00e9"])
def test_a_wrong_token_is_refused(stranger: httpx.Client, header: str) -> None:
    answer = stranger.get("/v1/overview", headers=[(b"Authorization", header.encode("latin-1"))])
    assert answer.status_code == 401


def test_a_wrong_token_is_refused_although_the_session_is_good(stranger: httpx.Client) -> None:
    stranger.cookies.set(auth.COOKIE, auth.new_session(TOKEN, NOW_S))
    assert stranger.get("/v1/overview").status_code == 200
    assert stranger.get("/v1/overview", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_link_signs_in_once(settings: Settings, stranger: httpx.Client) -> None:
    link = httpx.URL(auth.one_time_link(settings, NOW_S))
    answer = stranger.get("/login", params=link.params)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    assert stranger.get("/v1/overview").status_code == 200
    stranger.cookies.clear()
    again = stranger.get("/login", params=link.params)
    assert again.status_code == 403
    assert "carbonstream link" in again.text
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize(
    "code",
    [
        "",
        "x",
        "1.2.3",
        "..",
        auth.one_time_code(TOKEN, NOW_S - auth.CODE_S),
        auth.one_time_code(TOKEN, NOW_S + auth.CLOCK_SKEW_S + 2),
        auth.one_time_code("another token", NOW_S),
        auth.new_session(TOKEN, NOW_S),
        auth.one_time_code(TOKEN, NOW_S)[:-1],
        "9" + auth.one_time_code(TOKEN, NOW_S),
    ],
    ids=["empty", "no parts", "no numbers", "empty parts", "expired", "of tomorrow", "another token's", "a session",
         "cut", "longer"],
)  # fmt: skip
def test_a_forged_or_expired_code_signs_nobody_in(stranger: httpx.Client, code: str) -> None:
    answer = stranger.get("/login", params={"code": code})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "session",
    [
        "",
        "x.y.z",
        auth.new_session(TOKEN, NOW_S - auth.SESSION_S),
        auth.new_session("another token", NOW_S),
        auth.one_time_code(TOKEN, NOW_S),
    ],
    ids=["empty", "no parts", "ended", "another token's", "a code"],
)
def test_a_forged_or_ended_session_is_refused(stranger: httpx.Client, session: str) -> None:
    stranger.cookies.set(auth.COOKIE, session)
    assert stranger.get("/v1/overview").status_code == 401


def test_a_session_outlives_the_process_for_twelve_hours(settings: Settings) -> None:
    session = auth.new_session(TOKEN, NOW_S)
    for age, status in ((timedelta(hours=11, minutes=59), 200), (timedelta(hours=12), 401)):
        with (
            served(settings, now=lambda age=age: plant.NOW + age) as running,  # type: ignore[misc]
            running.client(token=None) as client,
        ):
            client.cookies.set(auth.COOKIE, session)
            assert client.get("/v1/entities").status_code == status


def test_used_codes_are_remembered_until_they_expire() -> None:
    used = auth.UsedCodes()
    assert used.take("a", 10, now=0)
    assert not used.take("a", 10, now=9)
    assert used.take("b", 30, now=11)
    assert used.take("a", 10, now=11)  # expired: its signature is refused before this is asked


def test_a_used_code_stays_used_when_the_api_starts_again(tmp_path: Path) -> None:
    file = tmp_path / "state" / "used-codes.json"
    assert auth.UsedCodes(file).take("code-1", 10, now=0)
    again = auth.UsedCodes(file)
    assert not again.take("code-1", 10, now=9)
    assert again.take("code-2", 30, now=11)
    assert "code-1" not in file.read_text()  # a code is never written down itself


def test_a_link_opens_in_a_browser_wherever_the_server_listens(settings: Settings) -> None:
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")):  # noqa: S104
        link = auth.one_time_link(settings.model_copy(update={"host": host}), NOW_S)
        assert link.startswith(f"http://{shown}:{settings.api_port}/login?code=")


def test_without_a_token_no_link_is_made(settings: Settings) -> None:
    with pytest.raises(NotReady, match="CARBONSTREAM_API_TOKEN"):
        auth.one_time_link(settings.model_copy(update={"api_token": ""}), NOW_S)


@pytest.mark.parametrize(
    "path", ["/", "/v1/overview", "/v1/nothing", "/login", "/health/live", "/openapi.json"]
)
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_figures_are_never_cached_by_the_browser(client: httpx.Client) -> None:
    assert client.get("/v1/overview").headers["cache-control"] == "no-store"


def test_a_missing_board_says_how_to_build_it(settings: Settings, tmp_path: Path) -> None:
    with served(settings, board=tmp_path / "dist") as running, running.client(token=None) as client:
        answer = client.get("/")
        assert (answer.status_code, "npm run build" in answer.text) == (503, True)
        (tmp_path / "dist" / "assets").mkdir(parents=True)
        (tmp_path / "dist" / "index.html").write_text("<p>board</p>")
        (tmp_path / "dist" / "assets" / "a-1.js").write_text("1")
        assert client.get("/").text == "<p>board</p>"
        assert "immutable" in client.get("/assets/a-1.js").headers["cache-control"]
        assert client.get("/../conftest.py").status_code == 404
        assert client.get("/%2e%2e/secret").status_code == 404


def test_every_route_is_described(api: Served) -> None:
    for route in api.app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            assert route.description, route.path


def test_a_link_made_for_an_operator_names_him() -> None:
    link = auth.one_time_link(Settings(api_token=TOKEN), NOW_S, "王伟 Wang Wei")
    assert auth.operator_of(link.partition("code=")[2]) == "王伟 Wang Wei"
