// The checker page: a bundle dropped in is checked in the browser, and nothing of it leaves the browser.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { apply, board, delivery, everybody, kubectl, launch, look, shop, waitPhase, waybill } from "./world.js";

describe("the checker page", () => {
  let browser, namespace, way, folder, root, good;

  before(async () => {
    namespace = shop(["upc-1"]);
    folder = mkdtempSync(join(tmpdir(), "waybill-checker-"));
    apply([delivery(namespace, "upc-1")]);
    waitPhase(namespace, "upc-1", "Delivered");
    kubectl(["wait", "--for=condition=Proven", "delivery", "upc-1", "-n", namespace, "--timeout=60s"]);
    const file = join(folder, "upc-1.waybill.zip");
    waybill("bundle", "upc-1", "-n", namespace, "--file", file);
    good = readFileSync(file);
    root = kubectl(["get", "configmap", "waybill-trust", "-n", namespace, "-o", "jsonpath={.data.root-fingerprint}"]);
    browser = await launch();
    way = await board(namespace);
  });

  after(async () => {
    await browser?.close();
    way?.end();
    if (folder) rmSync(folder, { recursive: true });
    if (namespace) kubectl(["delete", "namespace", namespace, "--wait=false"]);
  });

  const open = async (address = `${way.origin}/check`, options = {}) => {
    const seen = await look(browser, options);
    await seen.page.goto(address);
    await seen.page.getByRole("heading", { name: "Check a proof of delivery" }).waitFor();
    return seen;
  };
  const choose = (page, buffer, name = "upc-1.waybill.zip") =>
    page.getByLabel("Choose a bundle").setInputFiles({ name, mimeType: "application/zip", buffer });
  const answer = (page, name) => page.getByRole("heading", { level: 2, name, exact: true }).waitFor();
  const clean = ({ notes }) => assert.deepEqual(notes, { foreign: [], errors: [] });
  /** One bit in the middle of the first file whose name begins so. */
  const bent = (name) => {
    let at = -1;
    do at = good.indexOf(name, at + 1); while (at > 0 && good.readUInt32LE(at - 30) !== 0x04034b50);
    assert.ok(at > 0, `${name} is in the bundle`);
    const [size, length] = [good.readUInt32LE(at - 12), good.readUInt16LE(at - 4)];
    const bytes = Buffer.from(good);
    bytes[at + length + (size >> 1)] ^= 1;
    return bytes;
  };

  test("without a login and without a network a bundle is proved, and no byte of it leaves the browser", async () => {
    const seen = await open();
    const { context, page } = seen;
    await context.setOffline(true);
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await choose(page, good);
    await answer(page, "Consistent, root unknown");
    await page.getByLabel("Fingerprint of the root").fill(root.match(/../g).join(":").toUpperCase());
    await page.keyboard.press("Enter");
    await answer(page, "Proved");
    await page.getByText("upc-1", { exact: true }).waitFor();
    assert.ok(await page.locator("#checks .holds").count() >= 6);
    assert.equal(await page.locator("#checks .fails").count(), 0);
    assert.deepEqual(asked, []);
    clean(seen);
    // Even a script of its own could tell nobody.
    const told = page.evaluate(() => fetch("/", { method: "POST", body: "a bundle" }).then(() => "told", (error) => error.name));
    assert.equal(await told, "TypeError");
    await context.close();
  });

  test("a bundle is dropped anywhere, and a tampered one is told apart with what and where", async () => {
    const seen = await open();
    const { page } = seen;
    await page.getByLabel("Fingerprint of the root").fill(root);
    const drop = async (bytes) => {
      const carried = await page.evaluateHandle((content) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], "dropped.zip"));
        return transfer;
      }, bytes.toString("base64"));
      await page.dispatchEvent("h1", "dragover", { dataTransfer: carried });
      await page.dispatchEvent("h1", "drop", { dataTransfer: carried });
    };
    await drop(good);
    await answer(page, "Proved");
    assert.equal(await page.evaluate(() => document.activeElement.id), "result", "who cannot see it hears it");
    for (const place of ["log/002.cose", "photos/", "index.html"]) {
      await drop(bent(place));
      await answer(page, "Broken: this is not a proof");
      const fails = page.locator("#checks .fails").filter({ hasText: place });
      await fails.first().waitFor();
    }
    await page.getByLabel("Fingerprint of the root").fill("ab".repeat(32));
    await page.keyboard.press("Enter");
    await drop(good);
    await page.getByText("do not lead to the root").first().waitFor();
    clean(seen);
    await seen.context.close();
  });

  test("what is no bundle, too large, or no fingerprint is said in words, and the page goes on", async () => {
    const seen = await open();
    const { page } = seen;
    await choose(page, Buffer.from("a letter"), "letter.txt");
    await answer(page, "This is not a proof bundle");
    await choose(page, Buffer.alloc(0), "empty.zip");
    await answer(page, "This is not a proof bundle");
    // A file of 3 GiB that takes no place: nothing of it is read.
    await page.evaluate(() => {
      const file = new File(["x"], "huge.zip");
      Object.defineProperty(file, "size", { value: 3 * 2 ** 30 });
      Object.defineProperty(file, "arrayBuffer", { value: () => { throw new Error("it was read"); } });
      const dropped = new Event("drop", { bubbles: true, cancelable: true });
      Object.defineProperty(dropped, "dataTransfer", { value: { files: [file] } });
      document.body.dispatchEvent(dropped);
    });
    await answer(page, "This file was not checked");
    await page.getByText("It has 3072 MiB, and no bundle has more than 64 MiB.").waitFor();
    await page.getByLabel("Fingerprint of the root").fill("abc");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("64 digits").waitFor();
    await choose(page, good);
    await answer(page, "Consistent, root unknown");
    clean(seen);
    await seen.context.close();
  });

  test("by keyboard alone", async () => {
    const seen = await open();
    const { page } = seen;
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "file");
    const chooser = page.waitForEvent("filechooser");
    await page.keyboard.press("Space");
    await (await chooser).setFiles({ name: "upc-1.waybill.zip", mimeType: "application/zip", buffer: good });
    await answer(page, "Consistent, root unknown");
    await seen.context.close();
  });

  test("the page as a file of one's own does the same, with no server at all", async () => {
    const file = join(folder, "check.html");
    waybill("checker", "--file", file);
    const { context, page, notes } = await open(`file://${file}`);
    await choose(page, good);
    await answer(page, "Consistent, root unknown");
    assert.deepEqual(notes.errors, []);
    await context.close();
  });

  test("nobody is shut out", async () => {
    const { context, page } = await open(undefined, { bypassCSP: true });
    await everybody(page, "empty");
    for (const [bytes, name] of [[good, "Consistent, root unknown"], [bent("log/002.cose"), "Broken: this is not a proof"]]) {
      await choose(page, bytes);
      await answer(page, name);
      await everybody(page, name);
    }
    await page.getByLabel("Fingerprint of the root").fill(root);
    await page.keyboard.press("Enter");
    await choose(page, good);
    await answer(page, "Proved");
    await everybody(page, "Proved");
    await context.close();
  });
});
