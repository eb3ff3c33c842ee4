// The board, live: rows change in place, new ones come on top, and nothing moves under a reader's hand.
import { ago, follow, page } from "./live.js";
import "./pictures.js";

const MOST = 200;
// A page with more rows than this is slow to scroll: the next ones are a page of their own.
const LONG = 300;
const lanes = document.getElementById("lanes");
const said = document.getElementById("said");
const live = document.getElementById("live");
const filter = document.getElementById("filter");
let paused = false;
let waiting = 0;
let changed = 0;
let asked = 0;

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll(".row time")) {
    const text = ago(Date.parse(time.dateTime), now);
    if (time.textContent !== text) time.textContent = text;
  }
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function settle(lane) {
  const rows = lane.querySelector(".rows");
  lane.querySelector(".empty").hidden = rows.children.length > 0;
}

// One row as it is now: in its lane, in its place if it has one, on top if it is new there.
function put(change) {
  const known = document.getElementById(`d-${change.uid}`);
  const lane = change.html && lanes.querySelector(`.lane[data-lane="${change.lane}"]`);
  if (!lane) {
    const from = known?.closest(".lane");
    known?.remove();
    if (from) settle(from);
    return;
  }
  const row = parse(change.html).firstElementChild;
  row.classList.add("fresh");
  const focused = known?.contains(document.activeElement);
  const from = known?.closest(".lane");
  if (known && from === lane) {
    known.replaceWith(row);
  } else if (known || lanes.dataset.sort === "") {
    known?.remove();
    const rows = lane.querySelector(".rows");
    rows.prepend(row);
    // What a reader asked for with "Show more" is not taken away again.
    while (rows.children.length > MOST + asked) rows.lastElementChild.remove();
    settle(lane);
    if (from) settle(from);
  }
  if (focused) row.querySelector(".upc").focus({ preventScroll: true });
}

function count(counts) {
  for (const [key, number] of Object.entries(counts)) {
    for (const place of document.querySelectorAll(`[data-count="${key}"]`)) place.textContent = number;
  }
}

// Other rows in the lanes, without losing the reader's place.
function fill(nodes) {
  const focused = document.activeElement?.closest?.(".row")?.id;
  asked = 0;
  lanes.replaceChildren(...nodes);
  if (focused) document.getElementById(focused)?.querySelector(".upc").focus({ preventScroll: true });
}

// The whole view anew.
async function refresh(url) {
  const fresh = await page(url);
  const next = fresh?.getElementById("lanes");
  if (!next) return;
  fill(next.childNodes);
  for (const name of ["events", "lane", "sort"]) lanes.dataset[name] = next.dataset[name];
  lanes.className = next.className;
  document.querySelector(".tabs").replaceWith(fresh.querySelector(".tabs"));
}

let close = () => {};
function listen() {
  close();
  let due;
  const again = () => {
    if (due) return;
    // Everybody who fell behind does not ask at once.
    due = setTimeout(async () => { due = undefined; await refresh(location.href); listen(); }, 300 + Math.random() * 1700);
  };
  close = follow(lanes.dataset.events, {
    rows: (data) => {
      const rows = JSON.parse(data);
      changed += rows.length;
      if (paused) { waiting += rows.length; state(); return; }
      // Where a notice stands there is no lane to put a row into.
      if (!lanes.querySelector(".lane")) { if (rows.some((row) => row.html)) again(); return; }
      rows.forEach(put);
      tick();
    },
    // So much changed at once that the view comes as it is now; further down than its beginning one has to ask for it.
    view: (data) => {
      changed = Infinity;
      if (paused) { waiting = Infinity; state(); return; }
      if (new URLSearchParams(location.search).has("after")) { again(); return; }
      fill(parse(JSON.parse(data).html).childNodes);
      tick();
    },
    counts: (data) => { if (!paused) count(JSON.parse(data)); },
    resync: () => { if (paused) { waiting += 1; state(); } else again(); },
  }, (now) => { live.hidden = false; live.classList.toggle("off", now !== "on"); state(now); });
}

let connection = "on";
function state(now = connection) {
  connection = now;
  const text = paused ? `Paused${waiting ? `, ${waiting === Infinity ? "many" : waiting} changes wait` : ""}` : now === "on" ? "Live" : "Reconnecting…";
  document.getElementById("state").textContent = text;
}

// A short word now and then for who listens instead of looking.
setInterval(() => {
  if (changed && !paused) said.textContent = changed === 1 ? "One delivery changed." : `${changed === Infinity ? "Many" : changed} deliveries changed.`;
  changed = 0;
}, 10000);
setInterval(tick, 5000);

document.getElementById("pause")?.addEventListener("click", async ({ currentTarget: button }) => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Go on" : "Pause";
  if (!paused && waiting) { waiting = 0; await refresh(location.href); listen(); }
  state();
});

// Filtering without leaving the page.
async function show() {
  const query = new URLSearchParams(new FormData(filter));
  for (const [key, value] of [...query]) if (!value) query.delete(key);
  const url = query.size ? `/?${query}` : "/";
  history.replaceState(null, "", url);
  await refresh(url);
  listen();
  const shown = lanes.querySelectorAll(".row").length;
  said.textContent = shown ? `${shown} deliveries shown.` : "Nothing matches.";
}
let typing;
filter?.addEventListener("input", ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(show, target.type === "search" ? 250 : 0);
});
filter?.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); show(); });

// The next page, below.
lanes?.addEventListener("click", async (event) => {
  const more = event.target.closest?.(".alone .more");
  if (!more || event.metaKey || event.ctrlKey || lanes.querySelectorAll(".row").length >= LONG) return;
  event.preventDefault();
  const fresh = await page(more.href);
  const rows = [...(fresh?.querySelectorAll(".row") ?? [])].filter((row) => !document.getElementById(row.id));
  more.closest(".lane").querySelector(".rows").append(...rows);
  asked += rows.length;
  const next = fresh?.querySelector(".more");
  if (next) more.href = next.getAttribute("href"); else more.remove();
  rows[0]?.querySelector(".upc").focus({ preventScroll: true });
});

// Arrow keys walk through rows once one has the focus.
lanes?.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches(".upc")) return;
  const all = [...lanes.querySelectorAll(".upc")];
  const next = all[all.indexOf(event.target) + step];
  if (next) { event.preventDefault(); next.focus(); }
});

if (lanes) { tick(); listen(); }
