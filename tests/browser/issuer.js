// A certified OpenID Connect provider for some people, and a board of its own that knows it: both with the certificate the operator
// made for the board, at two names of this machine, so that for a browser they are two sites.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { connect, createServer as listener } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import Provider from "oidc-provider";
import { kubectl, SOON, SYSTEM } from "./world.js";

const PROGRAM = process.env.WAYBILL_BINARY ?? (() => { throw new Error("set WAYBILL_BINARY, or run scripts/test-browser"); })();
const listening = (server) => new Promise((done) => { server.listen(0, "127.0.0.1", () => done(server.address().port)); });

/** The certificate, in a folder as the board has it. */
function certificate() {
  const folder = mkdtempSync(join(tmpdir(), "waybill-board-"));
  const { data } = JSON.parse(kubectl(["get", "secret", "waybill-board-tls", "-n", SYSTEM, "-o", "json"]));
  for (const name of ["tls.crt", "tls.key", "ca.crt"]) writeFileSync(join(folder, name), Buffer.from(data[name], "base64"), { mode: 0o600 });
  const pem = (name) => Buffer.from(data[name], "base64");
  return { folder, key: pem("tls.key"), cert: pem("tls.crt") };
}

/** `people`: the groups of each, by the name they log in with. */
async function provider({ key, cert }, people, client) {
  let answer;
  const server = createServer({ key, cert }, (request, response) => answer(request, response));
  const issuer = `https://localhost:${await listening(server)}`;
  const told = new Provider(issuer, {
    clients: [client],
    claims: { openid: ["sub"], profile: ["groups"], email: ["email", "email_verified"] },
    // As issuers do that Kubernetes can use: what was asked for stands in the ID token itself.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: [randomBytes(32).toString("hex")] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: people[id] ?? [] }),
    }),
  });
  answer = told.callback();
  return { issuer, end: () => { server.close(); server.closeAllConnections(); } };
}

/** A port nobody has now: the board's address must be known before it starts. */
async function free() {
  const server = listener();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}

const answers = (port) => new Promise((done) => {
  const socket = connect(port, "127.0.0.1", () => { socket.destroy(); done(true); });
  socket.on("error", () => done(false));
});

/** A board whose people log in with a provider of its own, and an end of both. */
export async function boardWithIssuer(namespaces, people) {
  const { folder, key, cert } = certificate();
  const port = await free();
  const origin = `https://127.0.0.1:${port}`;
  const secret = randomBytes(24).toString("base64");
  writeFileSync(join(folder, "client-secret"), secret);
  const client = { client_id: "waybill board", client_secret: secret, redirect_uris: [`${origin}/login/oidc/callback`] };
  const at = await provider({ key, cert }, people, client);
  const flags = {
    "watch-namespaces": namespaces.join(","), "tls-dir": folder, listen: `127.0.0.1:${port}`, "probe-addr": "127.0.0.1:0", "external-url": origin,
    "oidc-issuer": at.issuer, "oidc-client-id": client.client_id, "oidc-client-secret-file": join(folder, "client-secret"),
    "oidc-ca-file": join(folder, "ca.crt"), "oidc-username-claim": "email", "oidc-groups-claim": "groups", "oidc-groups-prefix": "oidc:",
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(PROGRAM, ["board", ...words], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "", over = false;
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => { said += text; });
  child.on("exit", () => { over = true; });
  const end = () => {
    at.end();
    child.kill("SIGTERM");
    rmSync(folder, { recursive: true });
  };
  const deadline = Date.now() + SOON;
  while (!(await answers(port))) {
    if (over || Date.now() > deadline) throw new Error(`waybill board: ${said}`);
    await pause(50);
  }
  return { origin, issuer: at.issuer, secret, said: () => said, end };
}
