// The stream of live updates itself: one EventSource, made anew when it closed for good, going on where it was.
// It runs in the SharedWorker, or in the page where there is none.

export type LiveMessage =
  | { kind: "ticket"; number: string; what: string; state: string; version: number; seq: number }
  | { kind: "presence"; number: string; people: Onlooker[] }
  | { kind: "call"; data: Record<string, unknown> }
  /** Connected: what happens from here on is told. `gap`: what happened before may not have been, read the lists anew. */
  | { kind: "up"; gap: boolean }
  | { kind: "down" };

export interface Onlooker {
  person: number | null;
  name: string;
  unit: string | null;
  doing: string;
  since: string;
}

const [SOONEST, LATEST] = [1500, 60_000];

/** What follows a failed attempt, in ms: doubled each time, with a little chance so that not all come at once. */
export const pauseAfter = (failures: number, chance = Math.random()): number => Math.min(LATEST, SOONEST * 2 ** Math.min(failures, 6)) * (0.75 + chance / 2);

export class LiveSource {
  private stream: EventSource | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last = "";
  private failures = 0;
  private gap = true;

  constructor(
    private readonly address: string,
    private readonly tell: (message: LiveMessage) => void,
    private readonly make: (url: string) => EventSource = (url) => new EventSource(url),
  ) {}

  /** Connect, or connect anew: for another person from the present on. */
  start(afresh = false): void {
    this.stop();
    if (afresh) [this.last, this.gap, this.failures] = ["", true, 0];
    const stream = this.make(this.last ? `${this.address}?after=${this.last}` : this.address);
    this.stream = stream;
    const on = (name: string, take: (data: Record<string, unknown>) => void): void =>
      stream.addEventListener(name, (event) => {
        const { data, lastEventId } = event as MessageEvent<string>;
        if (lastEventId) this.last = lastEventId;
        try {
          take(JSON.parse(data) as Record<string, unknown>);
        } catch {
          /* not an event of ours */
        }
      });
    on("ready", () => {
      this.failures = 0;
      this.tell({ kind: "up", gap: this.gap });
      this.gap = false;
    });
    on("reset", () => (this.gap = true) && this.tell({ kind: "up", gap: true }));
    on("ticket", (data) => this.tell({ kind: "ticket", number: String(data.number), what: String(data.kind), state: String(data.state), version: Number(data.version), seq: Number(data.seq) }));
    on("presence", (data) => this.tell({ kind: "presence", number: String(data.number), people: (data.people ?? []) as Onlooker[] }));
    on("call", (data) => this.tell({ kind: "call", data }));
    stream.onerror = () => {
      this.tell({ kind: "down" });
      if (stream.readyState !== 2 || stream !== this.stream) return; // CONNECTING: it tries again by itself
      this.stop(); // CLOSED: one answer that is no stream (502, 401) ends it for good
      this.timer = setTimeout(() => this.start(), pauseAfter(this.failures++));
    };
  }

  stop(): void {
    clearTimeout(this.timer);
    this.stream?.close();
    this.stream = null;
  }
}
