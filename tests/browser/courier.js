// A person with an agent of their own, outside the cluster: enrolled as their owner does it, tapped through its socket.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT, eventually, NODE_TOOL, waybill } from "./world.js";

/** Enrols a Carrier and starts its agent where only the cluster's Services can be reached. */
export function courier(namespace, name) {
  const folder = mkdtempSync(join(tmpdir(), "waybill-courier-"));
  const file = join(folder, "agent.yaml");
  waybill("carrier", "enroll", name, "--kind", "person", "--file", file, "-n", namespace);
  // It is JSON, which is YAML; its mode stays as it was written.
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), probeAddr: "127.0.0.1:0" }));
  const child = spawn(NODE_TOOL, ["run", "--", AGENT, "transport", "--config", file], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => { said += text; });

  const ask = (method, path, body) => new Promise((done, failed) => {
    const asked = request({ socketPath: join(folder, "taps.sock"), method, path }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => done({ status: answer.statusCode, type: answer.headers["content-type"], body: Buffer.concat(parts) }));
    });
    asked.on("error", (error) => failed(new Error(`${error}; the agent said: ${said.slice(-2000)}`)));
    asked.end(body && JSON.stringify(body));
  });
  const json = async (...words) => JSON.parse((await ask(...words)).body);
  const parcel = async (upc) => {
    const { deliveries } = await json("GET", "/deliveries");
    const found = deliveries.find((one) => one.upc === upc);
    if (!found) throw new Error(`${name} has no ${upc}: ${JSON.stringify(deliveries)}`);
    return found;
  };

  return {
    /** Waits until this can be tapped about a parcel, and taps it. */
    tap: (upc, tap) => eventually(`${name} taps ${tap.tap}`, async () => {
      const { uid, taps } = await parcel(upc);
      if (!taps.includes(tap.tap)) throw new Error(`it can tap ${taps}`);
      const { status, body } = await ask("POST", `/deliveries/${uid}/taps`, tap);
      if (status !== 200) throw new Error(`${status} ${body}`);
    }),
    /** What it answers to a recipient's challenge: digits, and a code to be scanned. */
    answer: (upc, challenge) => eventually(`${name} answers`, async () => {
      const answer = await json("POST", `/deliveries/${(await parcel(upc)).uid}/digits`, { challenge });
      if (!answer.digits) throw new Error(JSON.stringify(answer));
      return answer;
    }),
    end() {
      child.kill();
      child.stderr.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
