// Hands a bundle to the checker and shows what it found, as text and never as markup. Nothing leaves this page: its policy lets it ask nobody.

const MARKS = { holds: "Holds", note: "Note", fails: "Fails" };
const CHECKS = {
  archive: "The file", manifest: "Its contents", root: "The root", log: "The log", signers: "Who signed", photos: "Pictures",
  certificates: "Certificates", revocations: "Revocations", page: "Its own page", end: "How it ended",
};
const ANSWERS = {
  proved: ["proved", "Proved", "Everything holds, and leads to the root you gave."],
  consistentRootUnknown: ["unknown", "Consistent, root unknown", "Everything in it holds together. Whose word it is you know once you give the root's fingerprint."],
};

const $ = (id) => document.getElementById(id);
// What was given last, so that a root typed afterwards is held against the same file.
let last = null;

const module = unpack($("module").textContent);
// Said when a file is given, and not before.
module.catch(() => {});

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const bytes = new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
  return WebAssembly.compile(await bytes.arrayBuffer());
}

/** The 32 bytes of a fingerprint, null for none, undefined for what is none. Colons and spaces, as others write them, are passed over. */
function fingerprint(text) {
  const digits = text.replace(/[\s:]/g, "");
  if (digits === "") return null;
  if (!/^[0-9a-f]{64}$/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g), (pair) => Number.parseInt(pair, 16));
}

/** Why a file cannot be checked, in words for people. */
class Unfit extends Error {}

async function check(file, root) {
  const compiled = await module.catch(() => { throw new Unfit("this browser cannot run the checker. A newer one can, and so can: kubectl waybill verify"); });
  // A fresh one each time: nothing of an earlier file is left in it.
  const { exports: checker } = await WebAssembly.instantiate(compiled, {});
  if (file.size > checker.largest()) throw new Unfit(`it has ${size(file.size)}, and no bundle has more than ${size(checker.largest())}`);
  const content = await file.arrayBuffer().catch(() => { throw new Unfit("it cannot be read; a folder is no bundle"); });
  const at = checker.room(content.byteLength);
  // Only now: asking for room may move the memory.
  new Uint8Array(checker.memory.buffer, at, content.byteLength).set(new Uint8Array(content));
  if (root) new Uint8Array(checker.memory.buffer, checker.root(), 32).set(root);
  const length = checker.check(root ? 1 : 0);
  return JSON.parse(new TextDecoder().decode(new Uint8Array(checker.memory.buffer, checker.report(), length)));
}

function size(bytes) {
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.round(bytes / (1 << 20))} MiB`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function sign(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "sign");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#sign-${name}`);
  svg.append(use);
  return svg;
}

function line({ check, outcome, text, where }) {
  const item = element("li", outcome);
  const mark = element("span", "mark");
  mark.append(sign(outcome), MARKS[outcome]);
  const found = element("span", "found", text);
  if (where) found.append(element("code", "place", where));
  item.append(mark, element("strong", "", CHECKS[check] ?? check), found);
  return item;
}

function verdict([name, title, why]) {
  $("verdict").className = `verdict ${name}`;
  $("verdict-sign").setAttribute("href", `#sign-${name}`);
  $("answer").textContent = title;
  $("why").textContent = why;
}

function about(facts) {
  const pairs = facts.filter(([, value]) => value);
  $("about").replaceChildren(...pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
}

/** What is wrong, in one sentence. */
function broken(lines) {
  const fails = lines.filter(({ outcome }) => outcome === "fails");
  if (lines.every(({ check }) => check === "archive" || check === "manifest")) {
    return ["broken", "This is not a proof bundle", `Nothing in it can be checked: ${fails[0].text}.`];
  }
  const first = fails[0] ? `${CHECKS[fails[0].check] ?? fails[0].check}: ${fails[0].text}.` : "";
  const count = fails.length === 1 ? "" : `${fails.length} checks fail. The first: `;
  return ["broken", "Broken: this is not a proof", count + first];
}

function show(file, found) {
  verdict(ANSWERS[found.answer] ?? broken(found.lines));
  // What a broken one says is not worth repeating.
  const said = found.answer === "broken" ? {} : found;
  about([
    ["File", `${file.name}, ${size(file.size)}`],
    ["Parcel", said.upc],
    ["How it ended", said.phase?.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)],
    ["Signed events", said.events && String(said.events)],
    ["SHA-256", found.bundle],
  ]);
  $("about").lastElementChild.className = "hash";
  $("checks").replaceChildren(...found.lines.map(line));
  $("checks-title").hidden = false;
}

function refuse(file, words) {
  verdict(["broken", "This file was not checked", `${words[0].toUpperCase()}${words.slice(1)}.`]);
  about([["File", file.name]]);
  $("checks").replaceChildren();
  $("checks-title").hidden = true;
}

async function run(root) {
  const file = last;
  $("busy").textContent = `Checking ${file.name}…`;
  await new Promise((painted) => { setTimeout(painted); });
  try {
    show(file, await check(file, root));
  } catch (error) {
    refuse(file, error instanceof Unfit ? error.message : `the checker failed (${error.message})`);
  }
  $("busy").textContent = "";
  $("result").hidden = false;
}

/** The root as it stands in its field; what is wrong with it is said. */
function given() {
  const root = fingerprint($("root").value);
  $("root-error").hidden = root !== undefined;
  $("root").setAttribute("aria-invalid", String(root === undefined));
  return root;
}

async function take(file) {
  if (!file) return;
  last = file;
  // A root that is none is as if there were none: the field says so.
  await run(given() ?? null);
  $("result").focus();
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); $("root").blur(); });
$("root").addEventListener("change", () => {
  const root = given();
  if (last && root !== undefined) run(root).then(() => { $("said").textContent = `Checked again: ${$("answer").textContent}`; });
});
// A file chosen again, after it was changed, counts again.
$("file").addEventListener("click", () => { $("file").value = ""; });
$("file").addEventListener("change", () => take($("file").files[0]));
const drop = $("drop");
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
