// Pictures for the README, of a real board with parcels in many states. Run by scripts/screenshots.
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { apply, board, delivery, kubectl, launch, look, shop, waitPhase } from "./world.js";

const folder = process.env.WAYBILL_IMAGES ?? fileURLToPath(new URL("../../docs/images/", import.meta.url));
const names = Array.from({ length: 14 }, (_, number) => `parcel-${String(number + 1041)}`);
const carrier = (namespace, name, spec) => ({ apiVersion: "waybill.dev/v1alpha1", kind: "Carrier", metadata: { name, namespace }, spec });
const managed = (kind, camera, pace, outcome, reason) =>
  ({ kind, camera, transport: { managed: { pace, ...(outcome && { script: [{ outcome, ...(reason && { reason }) }] }) } } });

let browser, namespace, way, login;

before(async () => {
  namespace = shop(names, "demo");
  apply([
    carrier(namespace, "truck-7", managed("truck", false, "6s")),
    carrier(namespace, "bike-anna", managed("person", true, "20s")),
    carrier(namespace, "truck-8", managed("truck", false, "0s", "refused", { cause: "recipient", what: "recipientRefused" })),
    carrier(namespace, "drone-2", managed("drone", true, "0s", "onHold")),
  ]);
  const with_ = ["drone-1", "drone-1", "van-1", "drone-1", "truck-8", "drone-2", "van-1", "truck-7", "truck-7", "bike-anna", "bike-anna", "truck-7", undefined, undefined];
  const spec = (at) => (with_[at] ? { carrier: with_[at] } : { carrier: undefined });
  apply(names.slice(0, 7).map((upc, at) => delivery(namespace, upc, spec(at))));
  waitPhase(namespace, names[0], "Delivered");
  kubectl(["wait", "--for=condition=Proven", "delivery", names[0], "-n", namespace, "--timeout=60s"]);
  apply(names.slice(7).map((upc, at) => delivery(namespace, upc, spec(at + 7))));
  waitPhase(namespace, names[7], "InTransit");
  browser = await launch();
  way = await board(namespace);
  const { context, page } = await look(browser);
  await page.goto(way.url);
  await page.getByRole("button", { name: "Log out" }).waitFor();
  login = await context.storageState();
  await context.close();
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
    const { context, page } = await look(browser, { storageState: login, viewport, colorScheme });
    await page.goto(way.origin + path.replace("NAMESPACE", namespace));
    await page.waitForLoadState("load");
    await page.waitForFunction(() => [...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight));
    await page.screenshot({ path: `${folder}/${name}.png` });
    await context.close();
  });
}
