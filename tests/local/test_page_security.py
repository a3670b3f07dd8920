"""Nothing that users write runs on the web page or becomes markup."""

import re

import pytest

from support.local_page import client_of, get, post, receiver, run, start, web

pytest_plugins = "support.page_fixtures"
# Only one browser runs at a time.
pytestmark = pytest.mark.xdist_group("browser")

# Markup that runs scripts, if it is not escaped.
EVIL = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>\"'><svg"
    " onload=window.ran=3>"
)


def evil_addresses(server):
    script = "javascript:window.ran=4"
    return [
        script,
        f" {script}",
        "data:text/html,<script>window.ran=5</script>",
        f"{server.output_origin}/pbxt/x/'onerror=window.ran=6.png",
    ]


def test_nothing_that_users_write_runs_or_becomes_markup(fresh, browser, conductor):
    value = {
        EVIL: EVIL,
        "list": [EVIL, *evil_addresses(fresh)],
        "page": f"https://example.com/{EVIL.replace(' ', '')}",
    }
    with receiver(204) as url, client_of(fresh) as client:
        written = run(client, "echo", {"value": value}, webhook=f"{url}/?{EVIL}".replace(" ", ""))
        live = start(client, "text")
        get(f"{fresh.base_url}/%3Cscript%3Ewindow.ran=7%3C/script%3E?<script>window.ran=8</script>")
        browser.open(web(live))
        for what in ("print", "yield", "raise"):
            conductor(what, EVIL)
        browser.until_says("failed", ".status")
        for page in (
            web(live),
            web(written),
            fresh.origin,
            f"{fresh.origin}/-/webhooks",
            f"{fresh.origin}/-/requests",
        ):
            if page != web(live):
                browser.open(page)
            browser.until_says("window.ran")
            browser.until("[...document.images].every(each => each.complete)")
            assert (
                browser.all("main script, main svg, main [onerror], main [onload]", "outerHTML")
                == []
            )
            assert browser("return window.ran") is None
            schemes = "return [...document.querySelectorAll('a')].map(each => each.protocol)"
            assert set(browser(schemes)) <= {"http:", "https:"}
    assert browser.all("main img", "outerHTML") == []


def test_a_name_that_is_markup_is_shown_as_it_is(browser, page_server):
    browser.allowed_messages = ("404 (Not Found)",)
    browser.open(f"{page_server.origin}/p/%3Cimg%20src=x%20onerror=window.ran=1%3E")
    assert "<img src=x onerror=window.ran=1>" in browser.says()
    assert browser("return window.ran") is None


def test_markup_that_got_in_nevertheless_would_not_run(browser, page_server):
    browser.allowed_messages = ("Content Security Policy",)
    browser.open(page_server.origin)
    browser("""
        window.blocked = [];
        const onViolation = each => window.blocked.push(each.violatedDirective);
        document.addEventListener("securitypolicyviolation", onViolation);
        const image = `<img src="data:," onerror="window.ran = 1">`;
        const link = `<a id="bad" href="javascript:window.ran = 2">`;
        document.body.insertAdjacentHTML("beforeend", image + link);
        const inline = {textContent: "window.ran = 3"};
        const external = {src: "data:text/javascript,window.ran = 4"};
        for (const script of [inline, external]) {
          document.body.append(Object.assign(document.createElement("script"), script));
        }
        document.getElementById("bad").click();
        """)
    browser.until("window.blocked.length >= 4")
    assert {
        each.removesuffix("-attr").removesuffix("-elem")
        for each in browser("return window.blocked")
    } == {"script-src"}
    assert browser("return window.ran") is None


def test_a_file_of_anybody_s_cannot_run_on_the_page_s_origin(
    browser, page_client, tmp_path, page_server
):
    browser.allowed_messages = ("sandbox", "Content Security Policy")
    drawing = tmp_path / "drawing.svg"
    drawing.write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='5'"
        " height='5'><script>document.documentElement.id = 'ran'</script></svg>"
    )
    page = tmp_path / "page.html"
    page.write_text("<script>window.ran = 1</script>")
    browser.open(web(run(page_client, "echo", {"value": [drawing, page]})))
    browser.until("document.images[0]?.naturalWidth == 5")
    address, *_ = browser.all("section a", "href")
    browser.driver.get(address)
    assert browser(
        "return [document.documentElement.nodeName, document.documentElement.id, self.origin]"
    ) == ["svg", "", "null"]
    browser.driver.back()
    link = next(each for each in browser.all("section a", "href") if each != address)
    _, headers, _ = get(link)
    assert headers["Content-Type"] == "application/octet-stream", "a browser would show a page"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_what_users_write_is_escaped(page_server, page_client):
    prediction = run(page_client, "shout", {"text": "<b>&\"'"})
    _, _, content = get(web(prediction))
    assert content.count("&lt;b&gt;&amp;&#34;&#39;") == 1, "in the input"
    assert "&lt;B&gt;" in content
    assert "<b>" not in content.lower()


@pytest.mark.parametrize(
    "type", ["audio/x\r\nX-Evil: 1", "image/svg+xmlé", "text/html", "video/mp4; codecs=é", ""]
)
def test_a_type_that_a_user_made_up_is_not_passed_on(page_server, page_client, type):
    parts = [f'"type"\r\n\r\n{type}', '"content"; filename="file"\r\n\r\nhi']
    body = "".join(f"--x\r\nContent-Disposition: form-data; name={each}\r\n" for each in parts)
    file = post(page_server, "files", f"{body}--x--\r\n", "multipart/form-data; boundary=x")
    prediction = run(page_client, "echo", {"value": file["urls"]["get"]})
    address = re.findall(r'(?:src|href)="(/-/files/.*?)"', get(web(prediction))[2])[0]
    status, headers, content = get(f"{page_server.origin}{address}")
    assert (status, content, headers["X-Evil"]) == (200, "hi", None)
    assert headers["Content-Type"] in (
        "audio/x",
        "image/svg+xml",
        "video/mp4",
        "application/octet-stream",
    )
