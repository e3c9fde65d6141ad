// Asking while somebody types: after a short pause, one question at a time, and only the newest answer counts.

type Asking<Args extends unknown[]> = (signal: AbortSignal, ...given: Args) => Promise<void>;
export interface Latest<Args extends unknown[]> {
  (...given: Args): void;
  /** Forget what was going to be asked, and what is being asked. */
  cancel: () => void;
}

/** `ask`, `pause` milliseconds after the last call; a newer call aborts the one before. What `ask` throws for an abort is dropped. */
export function latest<Args extends unknown[]>(pause: number, ask: Asking<Args>): Latest<Args> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;
  function cancel(): void {
    clearTimeout(timer);
    running?.abort();
  }
  const later = (...given: Args): void => {
    cancel();
    timer = setTimeout(() => {
      const mine = (running = new AbortController());
      ask(mine.signal, ...given).catch((problem: unknown) => {
        if (!mine.signal.aborted) throw problem;
      });
    }, pause);
  };
  return Object.assign(later, { cancel });
}
