/// <reference lib="webworker" />
// One stream for all of a browser's tabs: on HTTP/1.1 a browser opens six connections to a server, and streams keep theirs.
import { LiveSource, type LiveMessage, type Onlooker } from "./source";

type Said = { who: string } | { bye: true };

const ports = new Set<MessagePort>();
const present = new Map<string, Onlooker[]>();
let who = "";
let up = false;

const source = new LiveSource("/api/v1/live", (message) => {
  if (message.kind === "up" || message.kind === "down") up = message.kind === "up";
  if (message.kind === "up" && message.gap) present.clear();
  if (message.kind === "presence") present.set(message.number, message.people);
  for (const port of ports) port.postMessage(message);
});

function take(port: MessagePort, said: Said): void {
  if ("bye" in said) {
    ports.delete(port);
    if (!ports.size) source.stop();
    return;
  }
  const alone = !ports.size;
  ports.add(port);
  if (said.who !== who || alone) {
    const another = said.who !== who;
    [who, up] = [said.who, false];
    if (another) present.clear();
    source.start(another);
    return;
  }
  if (!up) return;
  port.postMessage({ kind: "up", gap: true } satisfies LiveMessage);
  for (const [number, people] of present) if (people.length) port.postMessage({ kind: "presence", number, people } satisfies LiveMessage);
}

(self as unknown as SharedWorkerGlobalScope).onconnect = (event) => {
  const port = event.ports[0]!;
  port.onmessage = ({ data }: MessageEvent<Said>) => take(port, data);
};
