"""The board's built page at `/`. It holds no figures, so it needs no authorisation; what it asks for does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

DIST: Final = Path(__file__).parent / "board" / "dist"
UNBUILT: Final = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Carbonstream</title>
<h1>看板尚未构建</h1><p>API 正常运行。请在
源代码目录中运行 <code>cd api/board &amp;&amp; npm ci &amp;&amp; npm run build</code>，然后刷新本页。</p>
<h1 lang="en">The board is not built yet</h1><p lang="en">The API is running. In the source tree, run
<code>cd api/board &amp;&amp; npm ci &amp;&amp; npm run build</code>, then reload this page.</p></html>"""


class BoardFiles(StaticFiles):
    """Files of the built board. Names in assets/ carry a hash of their content, so browsers may keep them."""

    def __init__(self, folder: Path = DIST) -> None:
        self._folder = folder
        super().__init__(directory=folder, html=True, check_dir=False)

    async def check_config(self) -> None:
        """The board may be built after the API has started."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at `path`, or a page that says how to build the board."""
        if not (self._folder / "index.html").is_file():
            if path in (".", "index.html"):
                return HTMLResponse(UNBUILT, 503)
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        kept = path.startswith("assets/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        return response
