// The world around the board: a namespace with people and parcels in it, made with kubectl, and a browser that looks.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const need = (name) => process.env[name] ?? (() => { throw new Error(`set ${name}, or run scripts/test-browser`); })();
export const KUBECTL = need("WAYBILL_KUBECTL");
const PLUGIN = need("WAYBILL_PLUGIN");
export const SYSTEM = "waybill-system";
/** How long anything that has to happen may take. */
export const SOON = 60_000;

export function kubectl(args, input) {
  return execFileSync(KUBECTL, args, { input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"], maxBuffer: 64 << 20 });
}

export const apply = (objects) =>
  kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));

const waybill = (kind, namespace, name, spec) =>
  ({ apiVersion: "waybill.dev/v1alpha1", kind, metadata: { name, namespace }, spec });

export const delivery = (namespace, upc, more = {}) =>
  waybill("Delivery", namespace, upc, { upc, seller: "bookshop", carrier: "drone-1", ...more });

/** A shop, a drone with a camera, a van without, and an account that may look. */
export function shop(upcs, namespace = `b-${randomBytes(4).toString("hex")}`) {
  const order = { country: "Wonderland", province: "P", city: "C", postalCode: "W1", door: "1", clientname: "A", clientphone: "1" };
  const orders = Object.fromEntries(upcs.map((upc) => [upc, JSON.stringify(order)]));
  apply([{ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { "waybill.dev/test": "true" } } }]);
  apply([
    { apiVersion: "v1", kind: "Secret", metadata: { name: "orders-bookshop", namespace }, stringData: orders },
    waybill("Seller", namespace, "bookshop", {}),
    waybill("Carrier", namespace, "drone-1", { kind: "drone", camera: true, transport: { managed: { pace: "0s" } } }),
    waybill("Carrier", namespace, "van-1", { kind: "truck", transport: { managed: { pace: "0s" } } }),
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
    if (found) return { url: found[0], origin: new URL(found[0]).origin, end };
  }
  throw new Error(`kubectl waybill board: ${said}`);
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
