// Only the server renders the page. An update changes the nodes that differ and no others, so that images do not
// flicker, audio plays on, and scroll positions and selections stay.
function morph(shown, fresh) {
  if (shown.nodeType === Node.TEXT_NODE) {
    if (fresh.data.startsWith(shown.data)) shown.appendData(fresh.data.slice(shown.data.length));
    else shown.data = fresh.data;
    return;
  }
  // The reader opens and closes <details>.
  for (const { name } of [...shown.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  let at = shown.firstChild;
  for (const each of [...fresh.childNodes]) {
    let same = at;
    while (same && (same.nodeName !== each.nodeName || (same.id ?? "") !== (each.id ?? ""))) same = same.nextSibling;
    if (!same) shown.insertBefore(document.importNode(each, true), at);
    else {
      if (same === at) at = at.nextSibling;
      else shown.insertBefore(same, at);
      morph(same, each);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// Output and logs stay scrolled to the end, unless the reader has scrolled up.
const growing = () => [...document.querySelectorAll(".grows pre")];
const scrollToEnd = each => { each.scrollTop = each.scrollHeight; };

async function reload() {
  let response;
  try {
    response = await fetch(location.href);
  } catch {
    return; // The connection is lost. The page is updated when the event stream connects again.
  }
  // A prediction that does not exist will not be created later.
  if (response.status === 404) changes?.close();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const scrolledUp = growing().filter(each => each.scrollHeight - each.scrollTop - each.clientHeight > 8);
  document.title = page.title;
  morph(document.querySelector("main"), page.querySelector("main"));
  growing().filter(each => !scrolledUp.includes(each)).forEach(scrollToEnd);
}

let isUpdating = false, isOutdated = false;
async function update() {
  isOutdated = true;
  if (isUpdating) return;
  isUpdating = true;
  try {
    while (isOutdated) {
      isOutdated = false;
      await reload();
    }
  } finally { isUpdating = false; }
}

// A browser opens at most six connections to a server, so a hidden page closes its own.
let changes = null;
function listen() {
  changes?.close();
  changes = document.hidden ? null : new EventSource("/-/changes");
  if (!changes) return;
  const lost = document.getElementById("lost");
  changes.onmessage = update;
  changes.onopen = () => { lost.hidden = true; update(); };
  changes.onerror = () => { lost.hidden = false; };
}
document.addEventListener("visibilitychange", listen);
document.querySelectorAll("[data-running] pre").forEach(scrollToEnd);
listen();
