// From a figure to its tickets: the engine says by which query of GET /tickets, the queue desk shows them.
import type { RouteLocationRaw } from "vue-router";

type Query = Record<string, string | string[]>;

/** The queue desk narrowed to what a figure counts; `said` is shown there as the reason. Several queries are put together. */
export function drill(said: string, ...queries: (Query | null | undefined)[]): RouteLocationRaw {
  return { name: "queues", query: { open: "0", board: said, ...Object.assign({}, ...queries) } };
}
