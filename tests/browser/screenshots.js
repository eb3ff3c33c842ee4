// Pictures for the README, of a real board with parcels in many states. Run by scripts/screenshots.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { apply, board, delivery, kubectl, launch, login, look, SCREENS, shop, waitPhase, waybill } from "./world.js";

const folder = process.env.WAYBILL_IMAGES ?? fileURLToPath(new URL("../../docs/images/", import.meta.url));
const names = Array.from({ length: 14 }, (_, number) => `parcel-${String(number + 1041)}`);
const carrier = (namespace, name, spec) => ({ apiVersion: "waybill.dev/v1alpha1", kind: "Carrier", metadata: { name, namespace }, spec });
const managed = (kind, camera, pace, outcome, reason) =>
  ({ kind, camera, transport: { managed: { pace, ...(outcome && { script: [{ outcome, ...(reason && { reason }) }] }) } } });

const hours = (more) => new Date(Math.ceil(Date.now() / 3_600_000 + more) * 3_600_000).toISOString();
const window = { from: hours(1), to: hours(3) };

let browser, namespace, way, storageState;

before(async () => {
  namespace = shop(names, "demo");
  apply([
    carrier(namespace, "truck-7", managed("truck", false, "12s")),
    carrier(namespace, "bike-anna", managed("person", true, "20s")),
    carrier(namespace, "truck-8", managed("truck", false, "0s", "refused", { cause: "recipient", what: "recipientRefused" })),
    carrier(namespace, "drone-2", managed("drone", true, "0s", "onHold")),
  ]);
  const with_ = ["drone-1", "drone-1", "van-1", "drone-1", "truck-8", "drone-2", "van-1", "truck-7", "truck-7", "bike-anna", "bike-anna", "truck-7", undefined, undefined];
  const spec = (at) => ({ carrier: with_[at], ...(with_[at] === "bike-anna" && { share: { location: "coarse" }, window }) });
  apply(names.slice(0, 7).map((upc, at) => delivery(namespace, upc, spec(at))));
  waitPhase(namespace, names[0], "Delivered");
  kubectl(["wait", "--for=condition=Proven", "delivery", names[0], "-n", namespace, "--timeout=60s"]);
  apply(names.slice(7).map((upc, at) => delivery(namespace, upc, spec(at + 7))));
  waitPhase(namespace, names[7], "InTransit");
  browser = await launch();
  way = await board(namespace);
  storageState = await login(browser, way);
});

after(async () => {
  await browser?.close();
  way?.end();
  if (namespace) kubectl(["delete", "namespace", namespace, "--wait=false"]);
});

const SHOTS = [
  ["board", "/", { width: 1440, height: 900 }, "light"],
  ["board-dark", "/", { width: 1440, height: 900 }, "dark"],
  ["phone", "/", { width: 390, height: 844 }, "light"],
  ["timeline", "/d/NAMESPACE/parcel-1041", { width: 1280, height: 1000 }, "light"],
];

for (const [name, path, viewport, colorScheme] of SHOTS) {
  test(name, async () => {
    const { context, page } = await look(browser, { storageState, viewport, colorScheme });
    await page.goto(way.origin + path.replace("NAMESPACE", namespace));
    await page.waitForLoadState("load");
    await page.waitForFunction(() => [...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight));
    await page.screenshot({ path: `${folder}/${name}.png` });
    await context.close();
  });
}

test("the recipient's pages", async () => {
  const parcel = names[9];
  waitPhase(namespace, parcel, "InTransit");
  const link = waybill("token", "issue", parcel, "-n", namespace, "--board", way.origin, "--recipient").trim();
  const { context, page } = await look(browser, { viewport: SCREENS.phone, deviceScaleFactor: 2 });
  await page.goto(link);
  await page.getByRole("heading", { level: 1, name: parcel }).waitFor();
  await page.screenshot({ path: `${folder}/track.png` });
  await page.getByRole("link", { name: "Is this my courier?" }).click();
  await page.getByRole("button", { name: /Begin/ }).click();
  await page.locator(".challenge").waitFor();
  await page.screenshot({ path: `${folder}/door.png` });
  await context.close();
});

test("the checker", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "waybill-shots-"));
  const bundle = join(scratch, `${names[0]}.waybill.zip`);
  waybill("bundle", names[0], "-n", namespace, "--file", bundle);
  const { context, page } = await look(browser, { viewport: { width: 1280, height: 1000 } });
  await page.goto(`${way.origin}/check`);
  await page.getByLabel("Fingerprint of the root").fill(
    kubectl(["get", "configmap", "waybill-trust", "-n", namespace, "-o", "jsonpath={.data.root-fingerprint}"]));
  await page.getByLabel("Choose a bundle").setInputFiles(bundle);
  await page.getByRole("heading", { name: "Proved" }).waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${folder}/checker.png` });
  await context.close();
  rmSync(scratch, { recursive: true });
});
