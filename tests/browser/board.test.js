// The board as people have it: logged in by a one-time code, live, by keyboard, without scripts, for those who see and those who don't.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { apply, board, delivery, eventually, everybody, kubectl, launch, login, look, SCREENS, shop, waitPhase, waybill } from "./world.js";

const PARCELS = ["upc-1", "upc-2", "upc-3", "upc-late"];

describe("the board", () => {
  let browser, namespace, way, storageState;

  before(async () => {
    namespace = shop(PARCELS);
    browser = await launch();
    apply([delivery(namespace, "upc-1"), delivery(namespace, "upc-2", { carrier: "van-1" }), delivery(namespace, "upc-3", { carrier: undefined })]);
    waitPhase(namespace, "upc-1", "Delivered");
    kubectl(["wait", "--for=condition=Proven", "delivery", "upc-1", "-n", namespace, "--timeout=60s"]);
    way = await board(namespace);
    storageState = await login(browser, way);
  });

  after(async () => {
    await browser?.close();
    way?.end();
    if (namespace) kubectl(["delete", "namespace", namespace, "--wait=false"]);
  });

  const visit = async (path = "/", options = {}) => {
    const seen = await look(browser, { storageState, ...options });
    await seen.page.goto(way.origin + path);
    return seen;
  };
  const row = (page, upc) => page.locator(".row").filter({ has: page.getByRole("link", { name: upc, exact: true }) });
  const clean = ({ notes }) => assert.deepEqual(notes, { foreign: [], errors: [] });

  test("a code opens it once, leaves the address bar, and the session is out of scripts' reach", async () => {
    const other = await board(namespace);
    const seen = await look(browser);
    await seen.page.goto(other.url);
    await seen.page.getByRole("navigation", { name: "Lanes" }).waitFor();
    assert.equal(seen.page.url(), `${other.origin}/`);
    const [cookie] = await seen.context.cookies();
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict", JSON.stringify(cookie));
    assert.equal(await seen.page.evaluate(() => document.cookie), "");
    const again = await look(browser);
    await again.page.goto(other.url);
    await again.page.getByText("used or too old").waitFor();
    clean(seen);
    await seen.context.close();
    await again.context.close();
    other.end();
  });

  test("a delivery is followed to its end without a click", async () => {
    const seen = await visit();
    const { page } = seen;
    await page.getByText("Live", { exact: true }).waitFor();
    await page.evaluate(() => { window.same = true; });
    apply([delivery(namespace, "upc-late")]);
    await row(page, "upc-late").waitFor();
    waitPhase(namespace, "upc-late", "Delivered");
    // The API server has just said so: a second later at most people see it.
    await row(page, "upc-late").getByText("Delivered", { exact: true }).first().waitFor({ timeout: 5000 });
    await page.locator(".lane[data-lane=done]").filter({ has: row(page, "upc-late") }).waitFor();
    assert.equal(await page.evaluate(() => window.same), true, "the page was never loaded anew");
    clean(seen);
    await seen.context.close();
  });

  test("a view that comes whole takes the place of the lanes", async () => {
    const { context, page } = await look(browser, { storageState });
    const lane = (upc) => `<section class="lane" data-lane="moving"><ul class="rows"><li class="row" id="d-1"><a class="upc" href="/">${upc}</a></li></ul></section>`;
    const view = JSON.stringify({ html: lane("upc-of-the-view") });
    // How much changes at once is the cluster's affair: the board's own tests tell when it is told so.
    await page.route("**/events?*", (route) => route.fulfill({ contentType: "text/event-stream", body: `retry: 60000\nid: 1\nevent: view\ndata: ${view}\n\n` }));
    await page.goto(`${way.origin}/`);
    await page.getByRole("link", { name: "upc-of-the-view" }).waitFor();
    assert.equal(await page.locator(".row").count(), 1);
    await context.close();
  });

  test("a pause holds everything still until one goes on", async () => {
    const seen = await visit();
    const { page } = seen;
    await page.getByRole("button", { name: "Pause" }).click();
    kubectl(["patch", "delivery", "upc-3", "-n", namespace, "--type=merge", "-p", '{"spec":{"cancelled":{"reason":"other"}}}']);
    waitPhase(namespace, "upc-3", "Cancelled");
    await page.getByText(/Paused, \d+ changes? wait/).waitFor();
    assert.equal(await row(page, "upc-3").getByText("Called off").count(), 0);
    await page.getByRole("button", { name: "Go on" }).click();
    await row(page, "upc-3").getByText("Called off").waitFor();
    clean(seen);
    await seen.context.close();
  });

  test("typing filters, and the address keeps the view", async () => {
    const seen = await visit();
    const { page } = seen;
    await page.getByRole("searchbox").fill("UPC-2");
    await row(page, "upc-1").waitFor({ state: "detached" });
    await row(page, "upc-2").waitFor();
    assert.match(page.url(), /\?q=UPC-2/);
    await page.reload();
    await row(page, "upc-2").waitFor();
    assert.equal(await row(page, "upc-1").count(), 0);
    await page.getByRole("searchbox").fill("nothing-has-this");
    await page.getByRole("heading", { name: "Nothing matches" }).waitFor();
    clean(seen);
    await seen.context.close();
  });

  test("a timeline shows who signed what, verified, with the picture that proves it", async () => {
    const seen = await visit();
    const { page } = seen;
    await row(page, "upc-1").getByRole("link", { name: "upc-1" }).click();
    await page.getByRole("heading", { name: "Timeline" }).waitFor();
    await page.getByText("every signature verified by this board").waitFor();
    assert.ok(await page.locator(".entry.good").count() >= 8);
    await page.getByText("Carrier drone-1, key kept in the cluster").first().waitFor();
    const picture = page.getByRole("img", { name: /Picture 1/ });
    await picture.scrollIntoViewIfNeeded();
    await page.waitForFunction((image) => image.complete && image.naturalWidth > 100, await picture.elementHandle());
    await page.getByRole("img", { name: /QR code/ }).waitFor();
    clean(seen);
    await seen.context.close();
  });

  test("a picture that is away or was erased is told, not shown as a broken frame", async () => {
    const { context, page } = await look(browser, { storageState, bypassCSP: true });
    // The Carrier API's own way of being away is the board's test; here it is what people see.
    await page.route("**/photos/**", (route) => route.fulfill({ status: 503 }));
    await page.goto(`${way.origin}/d/${namespace}/upc-1`);
    await page.getByText("cannot be fetched now").scrollIntoViewIfNeeded();
    await page.getByText("cannot be fetched now").waitFor();
    await page.goto(`${way.origin}/`);
    await row(page, "upc-1").getByText("picture not here now").waitFor();
    await everybody(page, "without pictures");
    await context.close();

    const gone = shop(["upc-gone"]);
    apply([delivery(gone, "upc-gone")]);
    waitPhase(gone, "upc-gone", "Delivered");
    kubectl(["wait", "--for=condition=Proven", "delivery", "upc-gone", "-n", gone, "--timeout=60s"]);
    waybill("forget", "upc-gone", "-n", gone);
    const other = await board(gone);
    const seen = await look(browser, { storageState: await login(browser, other) });
    await seen.page.goto(`${other.origin}/d/${gone}/upc-gone`);
    await seen.page.getByText("This picture was erased").waitFor();
    assert.equal(await seen.page.getByRole("img", { name: /Picture/ }).count(), 0);
    await seen.context.close();
    other.end();
    kubectl(["delete", "namespace", gone, "--wait=false"]);
  });

  test("the keyboard reaches every row", async () => {
    const seen = await visit();
    const { page } = seen;
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.locator(".upc").first().focus();
    const names = await page.locator(".upc").allTextContents();
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), names[1]);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: names[1] }).waitFor();
    clean(seen);
    await seen.context.close();
  });

  test("without scripts everything but the live changes is there", async () => {
    const other = await board(namespace);
    const { context, page } = await look(browser, { javaScriptEnabled: false });
    await page.goto(`${other.origin}/`);
    await page.getByLabel("One-time code").fill(new URL(other.url).hash.slice(1));
    await page.getByRole("button", { name: "Log in" }).click();
    await row(page, "upc-1").waitFor();
    await page.getByRole("searchbox").fill("upc-2");
    await page.getByRole("button", { name: "Show" }).click();
    await row(page, "upc-2").waitFor();
    assert.equal(await row(page, "upc-1").count(), 0);
    await row(page, "upc-2").getByRole("link", { name: "upc-2" }).click();
    await page.getByRole("heading", { name: "Timeline" }).waitFor();
    await context.close();
    other.end();
  });

  test("who has no right sees nothing but which one is missing", async () => {
    const other = await board(namespace, "default");
    const seen = await look(browser);
    await seen.page.goto(other.url);
    await seen.page.getByRole("heading", { name: "There is nothing here that you may see" }).waitFor();
    assert.equal(await seen.page.getByText("upc-1").count(), 0);
    await seen.page.getByText("list deliveries.waybill.dev").waitFor();
    const answer = await seen.page.goto(`${other.origin}/d/${namespace}/upc-1`);
    assert.equal(answer.status(), 404);
    await seen.page.getByRole("heading", { name: "No such delivery here" }).waitFor();
    assert.equal(await seen.page.getByText("drone-1").count(), 0);
    await seen.context.close();
    other.end();
  });

  test("nobody is shut out", async () => {
    for (const path of ["/", "/?lane=done", "/?q=nothing-has-this", `/d/${namespace}/upc-1`, "/login", "/nowhere", "/docs"]) {
      const { context, page } = await visit(path, { bypassCSP: true });
      await page.locator("main").waitFor();
      await everybody(page, path, [...Object.values(SCREENS), { width: 1024, height: 768 }, { width: 360, height: 740 }]);
      await context.close();
    }
  });

  test("thousands of rows are paged below and then on pages of their own, and none is left out", async () => {
    const crowd = shop([]);
    const upcs = Array.from({ length: 450 }, (_, number) => `crowd-${number}`);
    apply(upcs.map((upc) => delivery(crowd, upc, { carrier: undefined })));
    const other = await board(crowd);
    const { context, page, notes } = await look(browser, { storageState: await login(browser, other) });
    const rows = page.locator(".row");
    const seen = new Set();
    const more = page.locator(".more");
    // By UPC: nothing moves while the operator is still at work on them.
    await page.goto(`${other.origin}/?lane=attention&sort=upc`);
    await eventually("all are there", async () => {
      await page.reload();
      assert.equal(await page.locator('.lane [data-count="attention"]').innerText(), "450");
    });
    for (const shown of [200, 300]) {
      await more.click();
      await page.waitForFunction((count) => document.querySelectorAll(".row").length === count, shown);
    }
    for (const upc of await page.locator(".upc").allTextContents()) seen.add(upc);
    await more.click();
    await page.waitForURL(/after=/);
    assert.equal(await rows.count(), 100);
    await more.click();
    await page.waitForFunction(() => document.querySelectorAll(".row").length === 150);
    for (const upc of await page.locator(".upc").allTextContents()) seen.add(upc);
    assert.equal(seen.size, upcs.length);
    clean({ notes });
    await context.close();
    other.end();
    kubectl(["delete", "namespace", crowd, "--wait=false"]);
  });

  test("the first page is small", async () => {
    const { context, page } = await look(browser, { storageState });
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    let bytes = 0;
    session.on("Network.loadingFinished", (event) => { bytes += event.encodedDataLength; });
    await page.goto(`${way.origin}/`);
    await page.getByText("Live", { exact: true }).waitFor();
    assert.ok(bytes > 1000 && bytes <= 150 << 10, `${bytes} bytes`);
    await context.close();
  });
});
