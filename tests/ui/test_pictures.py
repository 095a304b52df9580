"""The pictures in the docs. PGQ_SCREENSHOTS=1 makes them anew, as `make screenshots` does."""

from __future__ import annotations

import os
import re
from pathlib import Path

from browsing import DESK, PHONE, Tabs, Theme
from scenes import history, shop
from serving import Service

from sql.support import Conn

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "overview": "/ui",
    "jobs": "/ui/jobs",
    "job": "/ui/jobs/{failed}",
    "log": "/ui/jobs/{running}",
    "queues": "/ui/queues",
    "queue": "/ui/queues/mail",
    "workers": "/ui/workers",
    "dead-letters": "/ui/dead",
    "operations": "/ui/operations",
}
OTHERS = ("overview", "jobs", "job")
"""Pages that are shown in the dark and on a phone too."""
DIALOGS = {
    "new-job": ("/ui", "New job"),
    "retry-many": ("/ui/jobs?q=state:dead+queue:mail", "Retry…"),
}


def test_each_page_has_its_picture(
    tabs: Tabs, service: Service, conn: Conn, tmp_path: Path
) -> None:
    asked = os.environ.get("PGQ_SCREENSHOTS")
    folder = DOCS / "screenshots" if asked else tmp_path
    folder.mkdir(exist_ok=True)
    jobs = shop(conn)
    history(conn)
    conn.execute("select pgq.start_operation('retry', p_queue => 'images', p_by => 'ada')")
    conn.execute("select pgq.operate()")
    taken = {}
    looks: tuple[tuple[str, Theme, tuple[int, int]], ...] = (
        ("", "light", DESK),
        ("-dark", "dark", DESK),
        ("-phone", "light", PHONE),
    )
    for ending, theme, size in looks:
        tab = tabs.open(service.url, theme=theme, size=size)
        for page, path in PAGES.items():
            if ending and page not in OTHERS:
                continue
            tab.go(path.format(**jobs)).find("main h1").wait_for()
            if page != "job":
                tab.find("#link-state[data-ui-link=live]").wait_for()
            taken[f"{page}{ending}"] = tab.page.screenshot(animations="disabled")
    tab = tabs.open(service.url)
    for page, (path, button) in DIALOGS.items():
        dialog = tab.go(path).open_dialog(button)
        if page == "new-job":
            dialog.get_by_label("Task").fill("mail.welcome")
            dialog.get_by_label("Task").blur()
            dialog.get_by_label("With invoice").wait_for()
        taken[page] = tab.page.screenshot(animations="disabled")
    for name, picture in taken.items():
        (folder / f"{name}.png").write_bytes(picture)
    kept = {path.stem for path in (DOCS / "screenshots").iterdir()}
    shown = re.findall(r"screenshots/([a-z-]+)\.png", (DOCS / "dashboard.md").read_text())
    assert kept == set(taken) == set(shown)
