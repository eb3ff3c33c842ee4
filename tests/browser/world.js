// The world around the board: a namespace with people and parcels in it, made with kubectl, and a browser that looks.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const need = (name) => process.env[name] ?? (() => { throw new Error(`set ${name}, or run scripts/test-browser`); })();
export const KUBECTL = need("WAYBILL_KUBECTL");
const PLUGIN = need("WAYBILL_PLUGIN");
export const [NODE_TOOL, AGENT] = [process.env.WAYBILL_NODE_TOOL, process.env.WAYBILL_BINARY];
export const SYSTEM = "waybill-system";
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** In a hand, on a desk, on a wall. */
export const SCREENS = { phone: { width: 390, height: 844 }, laptop: { width: 1280, height: 800 }, wall: { width: 2560, height: 1440 } };
/** How long anything that has to happen may take. */
export const SOON = 60_000;

export function kubectl(args, input) {
  return execFileSync(KUBECTL, args, { input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"], maxBuffer: 64 << 20 });
}

/** `kubectl waybill …`, as people type it. */
export const waybill = (...words) => execFileSync(PLUGIN, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 64 << 20 });

export const apply = (objects) =>
  kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));

const resource = (kind, namespace, name, spec) =>
  ({ apiVersion: "waybill.dev/v1alpha1", kind, metadata: { name, namespace }, spec });

export const delivery = (namespace, upc, more = {}) =>
  resource("Delivery", namespace, upc, { upc, seller: "bookshop", carrier: "drone-1", ...more });

/** A shop, a drone with a camera, a van without, and an account that may look. */
export function shop(upcs, namespace = `b-${randomBytes(4).toString("hex")}`) {
  const order = { country: "Wonderland", province: "P", city: "C", postalCode: "W1", door: "1", clientname: "A", clientphone: "1" };
  const orders = Object.fromEntries(upcs.map((upc) => [upc, JSON.stringify(order)]));
  apply([{ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { "waybill.dev/test": "true" } } }]);
  apply([
    { apiVersion: "v1", kind: "Secret", metadata: { name: "orders-bookshop", namespace }, stringData: orders },
    resource("Seller", namespace, "bookshop", {}),
    resource("Carrier", namespace, "drone-1", { kind: "drone", camera: true, transport: { managed: { pace: "0s" } } }),
    resource("Carrier", namespace, "van-1", { kind: "truck", transport: { managed: { pace: "0s" } } }),
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "waybill-viewer", namespace } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1", kind: "RoleBinding", metadata: { name: "waybill-viewer", namespace },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: `waybill-view.${SYSTEM}` },
      subjects: [{ kind: "ServiceAccount", name: "waybill-viewer", namespace }],
    },
  ]);
  return namespace;
}

export const phase = (namespace, upc) =>
  kubectl(["get", "delivery", upc, "-n", namespace, "-o", "jsonpath={.status.phase}"]);

export const waitPhase = (namespace, upc, wanted) =>
  kubectl(["wait", `--for=jsonpath={.status.phase}=${wanted}`, "delivery", upc, "-n", namespace, `--timeout=${SOON / 1000}s`]);

/** Tries until it works; the last failure is told when time is over. */
export async function eventually(what, work) {
  const end = Date.now() + SOON;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw new Error(`never came: ${what}`, { cause: error });
    }
    await new Promise((later) => { setTimeout(later, 200); });
  }
}

/** `kubectl waybill board` as people run it: the address with its one-time code, and a way to end it. */
export async function board(namespace, account = "waybill-viewer") {
  const child = spawn(PLUGIN, ["board", "-n", namespace, "--account", account, "--no-browser"], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => { said += text; });
  const lines = createInterface({ input: child.stdout });
  const end = () => {
    child.kill("SIGINT");
    // What nobody reads to its end would keep this process waiting.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  for await (const line of lines) {
    const found = /http:\/\/\S+/.exec(line);
    if (!found) continue;
    // A test that fails before it ends this must not keep the whole run waiting.
    for (const handle of [child, child.stdout, child.stderr]) handle.unref();
    process.once("exit", () => child.kill("SIGINT"));
    return { url: found[0], origin: new URL(found[0]).origin, end };
  }
  throw new Error(`kubectl waybill board: ${said}`);
}

/** Logs a browser in, once: a code is worth one. Whoever opens another page has this login as its `storageState`. */
export async function login(browser, way) {
  const { context, page } = await look(browser);
  await page.goto(way.url);
  await page.getByRole("button", { name: "Log out" }).waitFor();
  const state = await context.storageState();
  await context.close();
  return state;
}

export const launch = () => chromium.launch({
  executablePath: process.env.WAYBILL_CHROMIUM ?? "/usr/bin/chromium",
  // As root in a container there is no other sandbox to ask for.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});

/** A page that notes whatever is asked of anybody else, and whatever goes wrong in it. */
export async function look(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(SOON);
  const notes = { foreign: [], errors: [] };
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (!["data:", "blob:", "about:"].includes(protocol) && hostname !== "127.0.0.1") notes.foreign.push(request.url());
  });
  page.on("pageerror", (error) => notes.errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") notes.errors.push(message.text()); });
  return { context, page, notes };
}

/** That nobody is shut out of this page as it stands, on every screen, light and dark. It was looked at with `bypassCSP`. */
export async function everybody(page, name, screens = Object.values(SCREENS)) {
  await page.addScriptTag({ path: AXE });
  for (const viewport of screens) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate((runOnly) => window.axe.run(document, { runOnly }), RULES);
      const told = violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
      assert.deepEqual(told, [], `${name}, ${viewport.width} wide, ${colorScheme}`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px wider than a screen of ${viewport.width}`);
  }
}
