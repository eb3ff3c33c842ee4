// Logging in with an issuer as people do: a certified provider, a board that knows it, and a browser for which they are two sites.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { boardWithIssuer } from "./issuer.js";
import { apply, delivery, kubectl, launch, look, shop, SYSTEM } from "./world.js";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

describe("logging in with an issuer", () => {
  let browser, ours, theirs, way;

  before(async () => {
    [ours, theirs] = [shop(["upc-ours"]), shop(["upc-theirs"])];
    apply([
      delivery(ours, "upc-ours"),
      delivery(theirs, "upc-theirs"),
      {
        apiVersion: "rbac.authorization.k8s.io/v1", kind: "RoleBinding", metadata: { name: "couriers", namespace: ours },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: `waybill-view.${SYSTEM}` },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "oidc:couriers" }],
      },
    ]);
    browser = await launch();
    way = await boardWithIssuer([ours, theirs], { ann: ["couriers"], bob: ["cooks"] });
  });

  after(async () => {
    await browser?.close();
    way?.end();
    for (const namespace of [ours, theirs]) if (namespace) kubectl(["delete", "namespace", namespace, "--wait=false"]);
  });

  const visit = async (path, options = {}) => {
    const seen = await look(browser, { ignoreHTTPSErrors: true, ...options });
    await seen.page.goto(way.origin + path);
    return seen;
  };

  /** From the board's login page to the issuer's, and through it. */
  const login = async (page, name) => {
    await page.getByRole("link", { name: /^Log in with localhost:/ }).click();
    await page.locator("input[name=login]").fill(name);
    await page.locator("input[name=password]").fill("any");
    await page.locator("button[type=submit]").click();
    await page.getByRole("button", { name: /continue/i }).click();
  };

  test("shows what one's groups may see, and nothing else", async () => {
    const { context, page } = await visit("/");
    assert.equal(page.url(), `${way.origin}/login`);
    await login(page, "ann");
    await page.getByRole("link", { name: "upc-ours" }).waitFor();
    assert.equal(page.url(), `${way.origin}/`, "neither code nor state stays in the address bar");
    await page.getByText("ann@example.com").waitFor();
    assert.equal(await page.getByText("upc-theirs").count(), 0);
    const cookies = await context.cookies(way.origin);
    assert.deepEqual(cookies.map(({ name, httpOnly, secure, sameSite }) => [name, httpOnly, secure, sameSite]), [["wb_board", true, true, "Strict"]]);
    await page.getByRole("link", { name: "upc-ours" }).click();
    await page.getByRole("heading", { name: "upc-ours" }).waitFor();
    const foreign = await page.goto(`${way.origin}/d/${theirs}/upc-theirs`);
    assert.equal(foreign.status(), 404);
    await page.goto(`${way.origin}/`);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    await page.goto(`${way.origin}/`);
    assert.equal(page.url(), `${way.origin}/login`);
    await context.close();
  });

  test("who may nothing is told which right is missing", async () => {
    const { context, page } = await visit("/login", { javaScriptEnabled: false });
    await login(page, "bob");
    await page.getByRole("heading", { name: "There is nothing here that you may see" }).waitFor();
    assert.equal(await page.getByText("upc-").count(), 0);
    await context.close();
  });

  test("an answer counts once, and in no other browser", async () => {
    const { context, page } = await visit("/login");
    let answered;
    page.on("request", (request) => { if (request.url().includes("/callback?")) answered = request.url(); });
    await login(page, "ann");
    await page.getByRole("link", { name: "upc-ours" }).waitFor();
    const other = await look(browser, { ignoreHTTPSErrors: true });
    for (const again of [page, other.page]) {
      const answer = await again.goto(answered);
      assert.equal(answer.status(), 400);
      await again.getByRole("heading", { name: "This login is over" }).waitFor();
    }
    await other.page.goto(`${way.origin}/`);
    assert.equal(other.page.url(), `${way.origin}/login`);
    await context.close();
    await other.context.close();
  });

  test("who turns back at the issuer is told so", async () => {
    const { context, page } = await visit("/login");
    await page.getByRole("link", { name: /^Log in with/ }).click();
    await page.getByRole("link", { name: /cancel/i }).click();
    await page.getByRole("heading", { name: "You are not logged in" }).waitFor();
    await page.getByRole("link", { name: "Back to the board" }).click();
    await page.getByRole("link", { name: /^Log in with/ }).waitFor();
    await context.close();
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`nobody is shut out, ${colorScheme}`, async () => {
      for (const [path, width] of [["/login", 1280], ["/login", 360], ["/login/oidc/callback?state=x", 360]]) {
        const { context, page } = await visit(path, { colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
        await page.addScriptTag({ path: axe });
        const { violations } = await page.evaluate(() => window.axe.run(document));
        assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes[0].html}`), [], `${path} ${width}`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} fits ${width}`);
        await context.close();
      }
    });
  }

  test("no secret is in what the board says", () => {
    const said = way.said();
    assert.match(said, /somebody logs in with the issuer/);
    for (const secret of [way.secret, "eyJ", "code=", "state="]) assert.ok(!said.includes(secret), secret);
  });
});
