// The recipient's pages: a link that is good, and those that are not; the code that proves receipt; the courier checked at the door.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { courier } from "./courier.js";
import { apply, board, delivery, eventually, everybody, kubectl, launch, look, shop, SYSTEM, waitPhase, waybill } from "./world.js";

const REFUSED = "This link does not work.";

describe("the recipient's pages", () => {
  let browser, namespace, way, anna, bert;

  before(async () => {
    namespace = shop(["upc-1", "upc-2", "upc-3"]);
    const bare = { proof: { photo: false, scan: false } };
    apply([delivery(namespace, "upc-1")]);
    [anna, bert] = ["anna", "bert"].map((name) => courier(namespace, name));
    apply([delivery(namespace, "upc-2", { carrier: "anna", ...bare }), delivery(namespace, "upc-3", { carrier: "bert", ...bare })]);
    browser = await launch();
    way = await board(namespace);
    waitPhase(namespace, "upc-1", "Delivered");
    kubectl(["wait", "--for=condition=Proven", "delivery", "upc-1", "-n", namespace, "--timeout=60s"]);
    await anna.tap("upc-2", { tap: "pickedUp" });
    await bert.tap("upc-3", { tap: "pickedUp" });
  });

  after(async () => {
    await browser?.close();
    way?.end();
    anna?.end();
    bert?.end();
    if (namespace) kubectl(["delete", "namespace", namespace, "--wait=false"]);
  });

  const link = (upc, ...words) => waybill("token", "issue", upc, "-n", namespace, "--board", way.origin, ...words).trim();
  const follow = async (address, options = {}) => {
    const seen = await look(browser, options);
    await seen.page.goto(address);
    return seen;
  };
  const clean = ({ notes }) => assert.deepEqual(notes, { foreign: [], errors: [] });
  /** A page of somebody with a good link; the cookie is kept for other pages of the same person. */
  const inside = async (upc, words = [], options = {}) => {
    const seen = await follow(link(upc, ...words), options);
    await seen.page.getByRole("heading", { level: 1, name: upc }).waitFor();
    return seen;
  };

  test("a link opens one parcel, and is at once in no address, history, request or log", async () => {
    const seen = await look(browser);
    const { context, page } = seen;
    const address = link("upc-1");
    const grant = address.split("#")[1].split(".").slice(1).join(".");
    assert.ok(grant.length > 20, "it is no guess");
    const asked = [];
    page.on("request", async (request) => asked.push(request.url(), JSON.stringify(await request.allHeaders())));
    await page.goto(address);
    await page.getByRole("heading", { level: 1, name: "upc-1" }).waitFor();
    await page.getByText("Delivered", { exact: true }).first().waitFor();
    assert.equal(page.url(), `${way.origin}/track`);
    const { entries } = await (await context.newCDPSession(page)).send("Page.getNavigationHistory");
    for (const text of [...asked, ...entries.map((entry) => entry.url)]) assert.ok(!text.includes(grant), text.replace(grant, "GRANT"));
    const [cookie] = await context.cookies();
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict" && cookie.path === "/track", JSON.stringify(cookie));
    assert.ok(!cookie.value.includes(grant));
    for (const [where, whose] of [[SYSTEM, "deployment/waybill-board"], [namespace, "deployment/waybill-carrier-api"]]) {
      assert.ok(!kubectl(["logs", "-n", where, whose, "--all-containers", "--tail=-1"]).includes(grant), whose);
    }
    clean(seen);
    await context.close();
  });

  test("after delivery it shows the picture, what was signed, and gives the proof away", async () => {
    const seen = await inside("upc-1");
    const { page } = seen;
    const picture = page.getByRole("img", { name: /Picture 1/ });
    await page.waitForFunction((image) => image.complete && image.naturalWidth > 100, await picture.elementHandle());
    assert.ok(await page.locator(".log li").count() >= 8);
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download the proof" }).click();
    const file = await (await download).path();
    assert.equal(readFileSync(file).readUInt32LE(0), 0x04034b50);
    clean(seen);
    await seen.context.close();
  });

  test("one that ended, was taken back, is of another place or not whole opens nothing, and all say the same", async () => {
    const refused = async (address, name) => {
      const { context, page } = await follow(address);
      await page.getByRole("alert").getByText(REFUSED).waitFor().catch((error) => { throw new Error(name, { cause: error }); });
      assert.equal(await page.getByText("upc-1").count(), 0, name);
      assert.deepEqual(await context.cookies(), [], name);
      await context.close();
    };
    const good = link("upc-1");
    await refused(good.replace(`#${namespace}.`, "#default."), "of another namespace");
    await refused(good.slice(0, -4), "not whole");
    const made = JSON.parse(waybill("token", "issue", "upc-1", "-n", namespace, "--board", way.origin, "-o", "json"));
    waybill("token", "revoke", "upc-1", made.id, "-n", namespace);
    await refused(made.link, "taken back");
    const short = link("upc-1", "--ttl", "1s");
    await eventually("a link ends", async () => {
      const { context, page } = await follow(short);
      await page.getByText(REFUSED).or(page.getByRole("heading", { level: 1, name: "upc-1" })).first().waitFor();
      const over = await page.getByText(REFUSED).count();
      await context.close();
      assert.ok(over);
    });
    await refused(short, "ended");
    // And the good one still does.
    const { page, context } = await follow(good);
    await page.getByRole("heading", { level: 1, name: "upc-1" }).waitFor();
    await context.close();
  });

  test("the recipient's code is the recipient's alone", async () => {
    const recipient = await inside("upc-2", ["--recipient"]);
    await recipient.page.getByRole("link", { name: "Show my code" }).click();
    await recipient.page.getByRole("img", { name: "The code that proves receipt" }).waitFor();
    await recipient.page.getByRole("button", { name: "Print" }).waitFor();
    clean(recipient);
    const viewer = await inside("upc-2");
    assert.equal(await viewer.page.getByText("Show my code").count(), 0);
    const answer = await viewer.page.goto(`${way.origin}/track/code`);
    assert.equal(answer.status(), 404);
    assert.equal(await viewer.page.getByRole("img", { name: "The code that proves receipt" }).count(), 0);
    await recipient.context.close();
    await viewer.context.close();
  });

  test("the courier who took the job is told from one who did not, by digits and by the code on their device", async () => {
    const seen = await inside("upc-2", ["--recipient"]);
    const { page } = seen;
    await page.getByRole("link", { name: "Is this my courier?" }).click();
    const begin = async () => {
      await page.getByRole("button", { name: /Begin/ }).click();
      return page.locator(".challenge").innerText();
    };
    const type = async (digits) => {
      await page.getByLabel("The six digits").fill(digits);
      await page.getByRole("button", { name: "Check", exact: true }).click();
    };
    const wrong = page.getByText("This is not your courier for this parcel");
    const right = page.getByText("This is your courier for this parcel.");
    let challenge = await begin();
    await type((await bert.answer("upc-3", challenge)).digits);
    await wrong.waitFor();
    assert.equal(await right.count(), 0);
    await page.getByText("2 tries are left").waitFor();
    await type((await anna.answer("upc-2", challenge)).digits);
    await right.waitFor();
    assert.equal(await wrong.count(), 0);
    // What their devices show is scanned by a camera, which hands it in as this form does.
    const scan = (code) => page.evaluate((text) => {
      const form = document.getElementById("scan");
      form.elements.code.value = text;
      form.submit();
    }, code);
    challenge = await begin();
    const old = (await anna.answer("upc-2", challenge)).code;
    await scan((await bert.answer("upc-3", challenge)).code);
    await wrong.waitFor();
    await scan(old);
    await right.waitFor();
    await begin();
    await scan(old);
    await wrong.waitFor();
    clean(seen);
    await seen.context.close();
  });

  test("nobody is shut out", async () => {
    const seen = await inside("upc-2", ["--recipient"], { bypassCSP: true });
    const { context, page } = seen;
    const at = async (path, name) => {
      await page.goto(way.origin + path);
      await everybody(page, name);
    };
    await at("/track", "under way");
    await at("/track/code", "the recipient's code");
    await at("/track/door", "before a check");
    await page.getByRole("button", { name: /Begin/ }).click();
    const challenge = await page.locator(".challenge").innerText();
    await everybody(page, "a check");
    for (const [who, upc, name] of [[bert, "upc-3", "not your courier"], [anna, "upc-2", "your courier"]]) {
      await page.getByLabel("The six digits").fill((await who.answer(upc, challenge)).digits);
      await page.getByRole("button", { name: "Check", exact: true }).click();
      await page.locator(".verdict").waitFor();
      await everybody(page, name);
    }
    await context.clearCookies();
    await at("/track", "no link");
    await context.close();
    const refused = await follow(`${way.origin}/track#${namespace}.nothing`, { bypassCSP: true });
    await refused.page.getByText(REFUSED).waitFor();
    await everybody(refused.page, "a link that does not work");
    await refused.context.close();
    const delivered = await inside("upc-1", [], { bypassCSP: true });
    await everybody(delivered.page, "delivered");
    await delivered.context.close();
  });
});
