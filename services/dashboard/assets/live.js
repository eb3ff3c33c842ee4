// A stream of changes that mends itself: the browser reconnects with Last-Event-ID; after a refusal we try again, ever slower.

export function follow(url, on, state) {
  let wait = 1000;
  let source;
  const open = () => {
    source = new EventSource(url);
    source.onopen = () => { wait = 1000; state("on"); };
    source.onerror = () => {
      state("off");
      if (source.readyState !== EventSource.CLOSED) return;
      // Logged out, or the board is away: not the browser's to retry.
      page(location.pathname).catch(() => null);
      setTimeout(open, wait * (1 + Math.random()));
      wait = Math.min(wait * 2, 30000);
    };
    for (const [name, take] of Object.entries(on)) source.addEventListener(name, (event) => take(event.data));
    source.addEventListener("bye", () => { source.close(); location.reload(); });
  };
  open();
  return () => source.close();
}

const units = [[86400, 172800, "d"], [3600, 7200, "h"], [60, 120, "min"], [1, 10, "s"]];

/** How long ago, as the server says it. */
export function ago(then, now) {
  const seconds = Math.max(0, Math.floor((now - then) / 1000));
  for (const [size, from, unit] of units) if (seconds >= from) return `${Math.floor(seconds / size)} ${unit} ago`;
  return "now";
}

/** The page at this address, parsed; null where there is none to show. */
export async function page(url) {
  const answer = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin" });
  if (answer.redirected && new URL(answer.url).pathname === "/login") { location.assign("/login"); return null; }
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}
