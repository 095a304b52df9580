"""Who may see the dashboard, and who may change things."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from browsing import Tab, Tabs
from serving import Service, token

from sql.states import job_in
from sql.support import Conn, answer, insert, state

Serve = Callable[..., Service]


def _sign_in(tab: Tab, secret: str) -> None:
    tab.find("#token").fill(secret)
    tab.page.get_by_role("button", name="Sign in").click()


def test_a_token_opens_the_page_that_was_asked_for(serve: Serve, tabs: Tabs, conn: Conn) -> None:
    secret = token(conn, "view")
    tab = tabs.open(serve("--require-token").url)
    tab.go("/ui/jobs?sort=oldest")
    assert "/ui/login" in tab.page.url
    _sign_in(tab, secret)
    tab.find("h1", has_text="Jobs").wait_for()
    assert tab.page.url.endswith("/ui/jobs?sort=oldest")
    (cookie,) = tab.context.cookies()
    assert cookie["name"] == "__Host-pgq"
    assert (cookie["httpOnly"], cookie["secure"], cookie["path"]) == (True, True, "/")
    tab.page.get_by_role("button", name="Sign out").click()
    tab.find("#token").wait_for()
    assert tab.context.cookies() == []


def test_a_wrong_token_is_told_so(serve: Serve, tabs: Tabs, conn: Conn) -> None:
    token(conn, "view")
    tab = tabs.open(serve("--require-token").url)
    tab.expect_complaint("401")
    tab.go("/ui")
    _sign_in(tab, "pgq_" + "x" * 43)
    tab.see("unknown, expired or revoked")
    assert tab.context.cookies() == []


def test_login_says_that_plain_http_keeps_no_cookie(serve: Serve, tabs: Tabs, conn: Conn) -> None:
    secret = token(conn, "view")
    service = serve("--require-token")
    far = service.url.replace("127.0.0.1", "far.example")
    tab = tabs.open(far)
    tab.expect_complaint("Cross-Origin-Opener-Policy")
    tab.go("/ui").see("This page came over plain HTTP")
    assert tab.page.get_by_role("button", name="Sign in").is_disabled()
    near = tabs.open(service.url).go("/ui")
    assert near.page.get_by_role("button", name="Sign in").is_enabled()
    assert not near.find("#plain").is_visible()
    form = {"token": secret, "next": "/ui"}
    for origin, status in ((far, 403), (service.url, 303), (far.replace("http:", "https:"), 303)):
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        answer = service.client().post("/ui/login", data=form, headers=headers)
        assert answer.status_code == status, origin
        assert ("needs HTTPS" in answer.text) == (status == 403)


def test_login_leads_nowhere_else(serve: Serve, conn: Conn) -> None:
    secret = token(conn, "view")
    client = serve("--require-token").client()
    for target in ("//evil.example", "https://evil.example/ui", "/ui\\@evil.example", "/uix"):
        answer = client.post(
            "/ui/login",
            data={"token": secret, "next": target},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.headers["location"] == "/ui", target


def test_a_viewer_is_offered_no_changes(serve: Serve, tabs: Tabs, conn: Conn) -> None:
    job = job_in(conn, "dead")
    secret = token(conn, "view")
    service = serve("--require-token")
    tab = tabs.open(service.url)
    tab.go(f"/ui/jobs/{job}")
    _sign_in(tab, secret)
    tab.find("h1", has_text="echo").wait_for()
    assert tab.find(".page-head .actions a").count() == 0
    tab.go("/ui/jobs")
    assert tab.find("#bulk").count() == 0
    client = service.client(secret)
    assert client.post(f"/ui/jobs/{job}/retry").status_code == 403


def test_a_token_of_one_queue_sees_only_that(serve: Serve, conn: Conn) -> None:
    (mine,) = insert(conn, task="mine", queue="mail")
    (theirs,) = insert(conn, task="theirs", queue="secrets")
    secret = token(conn, "operate", queues=["mail"])
    client = serve("--require-token").client(secret)
    for path in ("/ui", "/ui/jobs", "/ui/queues", "/ui/workers", "/ui/dead"):
        page = client.get(path)
        assert page.status_code == 200, path
        assert "secrets" not in page.text, path
        assert "theirs" not in page.text, path
    assert client.get(f"/ui/jobs/{mine}").status_code == 200
    assert client.get(f"/ui/jobs/{theirs}").status_code == 404
    assert client.post(f"/ui/jobs/{theirs}/cancel").status_code == 404
    assert client.get("/ui/queues/secrets").status_code == 403
    assert client.post("/ui/queues/secrets/pause").status_code == 403
    form = {"verb": "cancel", "q": "queue:secrets"}
    assert client.post("/ui/operations", data=form).status_code == 403
    assert client.post("/ui/new", data={"task": "x", "queue": "secrets"}).status_code == 403


def test_a_token_of_one_queue_follows_its_operations(serve: Serve, tabs: Tabs, conn: Conn) -> None:
    insert(conn, 3, queue="mail")
    insert(conn, queue="secrets")
    others = answer(conn, "start_operation", verb="cancel", queue="secrets", rate=0.001)
    secret = token(conn, "operate", queues=["mail"])
    service = serve("--require-token")
    tab = tabs.open(service.url)
    tab.go("/ui/jobs")
    _sign_in(tab, secret)
    dialog = tab.open_dialog("Cancel…")
    dialog.get_by_label("Jobs a second").fill("0.01")
    dialog.get_by_role("button", name="Cancel", exact=True).click()
    dialog.locator("#operation", has_text="running").wait_for()
    tab.go("/ui/operations").see("Cancel", "main table")
    assert tab.find("[data-row]").count() == 1
    tab.page.get_by_role("button", name="Stop").click()
    tab.find("main table", has_text="stopped").wait_for()
    client = service.client(secret)
    assert client.get(f"/ui/operations/{others}").status_code == 404
    assert client.post(f"/ui/operations/{others}/stop").status_code == 404
    assert "no chart" in tab.go("/ui").text("#chart-none")


def test_a_page_of_another_site_changes_nothing(service: Service, conn: Conn) -> None:
    (job,) = insert(conn, task="echo")
    client = service.client()
    for site in ("cross-site", "same-site"):
        for path, form in (
            (f"/ui/jobs/{job}/cancel", {}),
            ("/ui/new", {"task": "evil"}),
            ("/ui/queues/default/pause", {}),
            ("/ui/operations", {"verb": "cancel"}),
            ("/ui/login", {"token": "pgq_" + "x" * 43}),
        ):
            answer = client.post(path, data=form, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 403, (site, path)
    assert state(conn, job) == "ready"
    answer = client.post(f"/ui/jobs/{job}/cancel", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


def test_a_form_of_another_site_is_refused_by_the_browser_too(
    service: Service, tabs: Tabs, conn: Conn, serve: Serve
) -> None:
    (job,) = insert(conn, task="echo")
    other = serve()
    tab = tabs.open(other.url.replace("127.0.0.1", "localhost"))
    tab.expect_complaint("left the server|form-action|403")
    tab.go("/ui/jobs")
    tab.page.evaluate(
        "address => { const form = document.createElement('form'); form.method = 'post';"
        " form.action = address; document.body.append(form); form.submit(); }",
        f"{service.url}/ui/jobs/{job}/cancel",
    )
    tab.page.wait_for_timeout(500)
    assert state(conn, job) == "ready"


def test_everything_works_below_a_prefix(serve: Serve, tabs: Tabs, conn: Conn) -> None:
    job = job_in(conn, "dead")
    secret = token(conn, "admin")
    service = serve("--prefix", "/queue")
    tab = tabs.open(service.url)
    assert tab.root.endswith("/queue")
    tab.go("/ui")
    _sign_in(tab, secret)
    tab.find("h1", has_text="Overview").wait_for()
    tab.page.get_by_role("link", name="Jobs").click()
    tab.find(f"#job-{job} [data-open]").click()
    dialog = tab.open_dialog("Retry…")
    dialog.get_by_role("button", name="Retry", exact=True).click()
    tab.see("ready", ".job-title")
    assert state(conn, job) == "ready"


def test_pages_tell_browsers_to_be_strict(service: Service) -> None:
    client: httpx.Client = service.client()
    for path in ("/ui", "/ui/jobs/1", "/ui/login", "/ui/suggestions", "/ui/static/x/js/main.js"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert answer.headers["x-content-type-options"] == "nosniff"
