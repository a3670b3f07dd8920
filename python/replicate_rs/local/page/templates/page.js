// The page is rendered by the server only. What has changed there is changed here, and nothing else is touched:
// a picture does not flicker, sound plays on, and text that is being read or selected stays where it is.
function morph(shown, fresh) {
  if (shown.nodeType === Node.TEXT_NODE) {
    if (fresh.data.startsWith(shown.data)) shown.appendData(fresh.data.slice(shown.data.length));
    else shown.data = fresh.data;
    return;
  }
  // Whether something is unfolded is up to the reader.
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

// What grows is followed, unless its reader has scrolled away from the end.
const grown = () => [...document.querySelectorAll(".grows pre")];
const toEnd = each => { each.scrollTop = each.scrollHeight; };

async function look() {
  let response;
  try {
    response = await fetch(location.href);
  } catch {
    return; // The connection was lost; when it is back, all is looked at again.
  }
  // What is not here will not come.
  if (response.status === 404) changes?.close();
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const read = grown().filter(each => each.scrollHeight - each.scrollTop - each.clientHeight > 8);
  document.title = page.title;
  morph(document.querySelector("main"), page.querySelector("main"));
  grown().filter(each => !read.includes(each)).forEach(toEnd);
}

let looking = false, again = false;
async function update() {
  again = true;
  if (looking) return;
  looking = true;
  try {
    while (again) {
      again = false;
      await look();
    }
  } finally { looking = false; }
}

// A browser has six connections to a server: a page that nobody sees keeps none.
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
document.querySelectorAll("[data-running] pre").forEach(toEnd);
listen();
