"""A headless browser for tests of the local server's web page."""

import re
from pathlib import Path

from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

# JavaScript that returns the accessibility flaws of a page: contrast of text, headings, names,
# width, and ids.
FIND_FLAWS = """
const light = color => {
  const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const [r, g, b] = color.match(/[\\d.]+/g).map(each => linear(each / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = each => {
  for (; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (!color.startsWith("rgba")) return color;
  }
};
const flaws = [];
for (const each of document.body.querySelectorAll("*")) {
  const hasText = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!hasText || !each.checkVisibility()) continue;
  const lights = [light(getComputedStyle(each).color), light(behind(each))];
  const [dark, bright] = lights.sort((a, b) => a - b);
  const contrast = (bright + .05) / (dark + .05);
  if (contrast < 4.5) flaws.push(`contrast ${contrast.toFixed(2)}: ${each.outerHTML.slice(0, 80)}`);
}
let level = 0;
for (const each of document.querySelectorAll("h1, h2, h3, h4")) {
  if (+each.tagName[1] > level + 1) flaws.push(`heading ${each.textContent}`);
  level = +each.tagName[1];
}
if (document.querySelectorAll("h1").length !== 1) flaws.push("no single h1");
if (document.documentElement.lang !== "en") flaws.push("no language");
const nameless = document.querySelectorAll(
  "img:not([alt]), :is(audio, progress, nav):not([aria-label])",
);
flaws.push(...[...nameless].map(each => each.outerHTML));
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) flaws.push("wider than the window");
const ids = [...document.querySelectorAll("[id]")].map(each => each.id);
if (new Set(ids).size < ids.length) flaws.push(`an id twice: ${ids}`);
return flaws;
"""


class Browser:
    """A page in the browser."""

    def __init__(self, driver):
        self.driver = driver
        # Texts of messages in the console that do not fail the test.
        self.allowed_messages = ()

    def open(self, url):
        self.driver.get(url)
        self("window.mark = 1")

    def __call__(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition, *arguments):
        """Wait for an expression to be true, and return its value.

        Fails if the page was loaded again in the meantime.
        """
        script = f"return {condition}"
        message = f"never true: {condition} {arguments}"
        wait = WebDriverWait(self.driver, 10, poll_frequency=0.02)
        result = wait.until(lambda driver: driver.execute_script(script, *arguments), message)
        assert self("return window.mark") == 1, "the page was loaded again"
        return result

    def until_says(self, text, css="main"):
        self.until(
            "document.querySelector(arguments[1])?.innerText.includes(arguments[0])", text, css
        )

    def says(self, css="main"):
        return self("return document.querySelector(arguments[0])?.innerText", css)

    def all(self, css, property="innerText"):
        return self(
            "return [...document.querySelectorAll(arguments[0])].map(each => each[arguments[1]])",
            css,
            property,
        )

    def lines(self, css):
        """Return the lines of each element."""
        return [
            [line.strip() for line in re.split(r"[\n\t]", each) if line.strip()]
            for each in self.all(css)
        ]

    def section(self, name):
        """Return the lines below a heading."""
        return next(lines for heading, *lines in self.lines("section") if heading == name)

    def leave(self):
        self.driver.get("about:blank")

    def console_messages(self):
        return [each["message"] for each in self.driver.get_log("browser")]
