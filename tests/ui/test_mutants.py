"""Each guard of the pages, broken: the server starts, and the guard's own test fails.

That the same tests pass on the guards as they are is seen where they stand.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import test_actions
import test_faces
import test_job
import test_jobs
import test_scripts
from browsing import Tabs
from playwright.sync_api import Browser, Error
from serving import Service

import pgq_server
import test_log
from sql.support import Conn

PACKAGE = Path(pgq_server.__file__).parent
JS = "ui/static/js"


@dataclass(frozen=True)
class Mutant:
    """A change of one place in a file of the server, and who must notice."""

    name: str
    test: Callable[..., None]
    file: str
    old: str
    new: str

    def install(self, folder: Path) -> None:
        """A copy of the server with the change, for PYTHONPATH."""
        shutil.copytree(PACKAGE, folder / PACKAGE.name)
        path = folder / PACKAGE.name / self.file
        text = path.read_text()
        assert text.count(self.old) == 1, f"{self.file} has changed: {self.old!r}"
        path.write_text(text.replace(self.old, self.new))


MUTANTS = [
    # The log
    Mutant(
        "log_follows_who_scrolled_up",
        test_log.test_the_log_stops_following_who_scrolls_up,
        f"{JS}/log.js",
        "    if (follows) place.scrollTop",
        "    place.scrollTop",
    ),
    Mutant(
        "log_follows_nobody_again",
        test_log.test_the_log_stops_following_who_scrolls_up,
        f"{JS}/log.js",
        "        follow.hidden = true;\n        toEnd();",
        "        follow.hidden = true;",
    ),
    Mutant(
        "log_of_a_retried_job_stays_closed",
        test_job.test_a_job_that_is_retried_elsewhere_is_followed_again,
        f"{JS}/log.js",
        'document.addEventListener("htmx:after:swap", open);',
        "",
    ),
    # Updates
    Mutant(
        "update_folds",
        test_job.test_what_was_unfolded_stays_so,
        f"{JS}/live.js",
        '!(detail.attrName === "open" && element.matches("details, dialog"))',
        "true",
    ),
    # Secrets
    Mutant(
        "tree_shows_secrets",
        test_job.test_secrets_do_not_reach_the_browser,
        "ui/trees.py",
        "and masking.is_secret(key)",
        "and False",
    ),
    Mutant(
        "form_shows_secrets",
        test_actions.test_an_edit_keeps_what_was_masked,
        "ui/pages/job_actions.py",
        "masking.write(masking.masked(self._original), indent=2)",
        "masking.write(self._original, indent=2)",
    ),
    Mutant(
        "edit_writes_the_mask",
        test_actions.test_an_edit_keeps_what_was_masked,
        "ui/pages/job_actions.py",
        "masking.restored(masking.read(form.payload), original)",
        "masking.read(form.payload)",
    ),
    Mutant(
        "snippets_tell_secrets",
        test_faces.test_values_that_are_masked_are_not_told_elsewhere,
        "ui/pages/job_actions.py",
        'changes["p_payload"] and _keeps_masked(call.body)',
        "False",
    ),
    # Scripts
    Mutant(
        "template_escapes_nothing",
        test_scripts.test_attacks_are_text_in_every_list,
        "ui/rendering.py",
        "autoescape=True",
        "autoescape=False",
    ),
    Mutant(
        "log_line_is_markup",
        test_scripts.test_lines_of_a_live_log_are_text,
        f"{JS}/log.js",
        "made.textContent = text;",
        "made.innerHTML = text;",
    ),
    Mutant(
        "suggestion_is_markup",
        test_scripts.test_attacks_in_suggestions_are_text,
        f"{JS}/filter.js",
        "name.textContent = text;",
        "name.innerHTML = text;",
    ),
    # Many jobs
    Mutant(
        "count_is_of_another_form",
        test_faces.test_a_dialog_for_many_jobs_counts_again_for_what_is_chosen,
        "ui/templates/operation_meant.html",
        ' hx-swap-oob="true"',
        "",
    ),
    Mutant(
        "selection_is_lost",
        test_jobs.test_a_selection_is_cancelled_as_an_operation,
        "ui/templates/jobs.html",
        'hx-include="#selection" ',
        "",
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_mutant_is_caught(
    browser: Browser,
    serve: Callable[..., Service],
    conn: Conn,
    tmp_path: Path,
    mutant: Mutant,
) -> None:
    mutant.install(tmp_path / "site")

    def serve_mutant(*options: str) -> Service:
        return serve(*options, PYTHONPATH=str(tmp_path / "site"))

    with pytest.raises((AssertionError, Error)):
        _watched(mutant, Tabs(browser), serve_mutant, conn)


def _watched(mutant: Mutant, tabs: Tabs, serve: Callable[..., Service], conn: Conn) -> None:
    if "serve" in mutant.test.__annotations__:
        mutant.test(serve=serve, tabs=tabs, conn=conn)
    else:
        tab = tabs.open(serve().url)
        tab.page.set_default_timeout(5000)
        mutant.test(tab=tab, conn=conn)
    tabs.close()
