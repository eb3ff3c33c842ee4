// Takes the link out of the address bar at once, so that it stands in no history, and hands it in; then keeps the page current.
import "./pictures.js";

const link = location.hash.slice(1);
const main = document.getElementById("main");
if (link) {
  history.replaceState(null, "", location.pathname);
  let form = document.getElementById("enter");
  if (!form) {
    // Another link is open in this browser: the new one takes its place.
    form = document.createElement("form");
    form.method = "post";
    form.action = "/track/session";
    form.hidden = true;
    const field = document.createElement("input");
    field.name = "link";
    form.append(field);
    document.body.append(form);
  }
  form.elements.link.value = link;
  form.submit();
} else if (document.getElementById("track")) {
  local(document);
  setInterval(look, 10_000);
  document.addEventListener("visibilitychange", look);
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/track", { headers: { accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("track");
    if (!fresh) return location.reload();
    local(page);
    const shown = document.getElementById("track");
    if (fresh.innerHTML === shown.innerHTML) return;
    const before = shown.querySelector(".phase").textContent;
    shown.replaceWith(document.adoptNode(fresh));
    const now = document.querySelector("#track .phase").textContent;
    if (now !== before) document.getElementById("said").textContent = `Now: ${now}`;
  } catch {
    // Offline: what is shown stays, and is asked for again.
  }
}

// Moments as this reader's clock says them.
function local(page) {
  const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of page.querySelectorAll("time[datetime]")) {
    if (!time.dateTime || time.textContent.endsWith("ago") || time.textContent === "now") continue;
    time.textContent = form.format(new Date(time.dateTime));
  }
}
