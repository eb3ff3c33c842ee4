// One delivery, live: its page is fetched anew when it changed.
import { follow, page } from "./live.js";
import "./pictures.js";

const detail = document.getElementById("detail");
let busy = false;
let again = false;

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  const fresh = await page(location.href).catch(() => null);
  const next = fresh?.getElementById("detail");
  if (next) {
    const open = [...detail.querySelectorAll("details[open]")].map((one) => one.closest(".entry").value);
    detail.replaceChildren(...next.childNodes);
    for (const entry of detail.querySelectorAll(".entry")) {
      if (open.includes(entry.value)) entry.querySelector("details").open = true;
    }
    document.getElementById("said").textContent = `This delivery changed: ${detail.querySelector(".phase").textContent.trim()}.`;
  }
  busy = false;
  if (again) { again = false; refresh(); }
}

follow(detail.dataset.events, { rows: refresh, resync: refresh }, () => {});
