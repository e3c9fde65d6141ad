// A list's filters: as the page's address, as the engine's query, as somebody's saved filter.
import type { LocationQuery } from "vue-router";
import type { Shape } from "@/client";

export interface Filters {
  queue: string;
  text: string;
  state: string;
  matter: string;
  overdue: boolean;
  open: boolean;
  sort: "" | "due" | "received";
  /** What another page asked for and this one shows as it is: `unit`, `clock`, `due_from`, `due_to`, `owed_by`, `awaiting`, `area`, `category`… */
  more: Record<string, string | string[]>;
  /** What the page that asked calls this list. */
  said: string;
}

const OWN = new Set(["queue", "text", "state", "matter", "overdue", "open", "sort"]);
const MORE = ["unit", "channel", "area", "category", "due_before", "due_from", "due_to", "clock", "owed_by", "awaiting", "rung", "received_from", "received_to", "mine"];
const one = (value: LocationQuery[string] | undefined): string => String((Array.isArray(value) ? value[0] : value) ?? "");

export function filtersOf(query: LocationQuery): Filters {
  const more: Record<string, string | string[]> = Object.fromEntries(MORE.flatMap((name) => (one(query[name]) ? [[name, one(query[name])]] : [])));
  const states = [query.state].flat().filter(Boolean).map(String);
  if (states.length > 1) more.state = states;
  const queue = one(query.queue);
  const [overdue, open] = [one(query.overdue), one(query.open)];
  return {
    queue, more,
    said: one(query.board), text: one(query.text), state: states.length === 1 ? states[0]! : "", matter: one(query.matter),
    overdue: overdue === "1" || overdue === "true",
    open: open ? open === "1" || open === "true" : !queue && !states.length,
    sort: (["due", "received"].includes(one(query.sort)) ? one(query.sort) : "") as Filters["sort"],
  };
}

/** The address of the list; `filtersOf` reads it back. */
export function addressOf(filters: Filters): Record<string, string | string[]> {
  const plain = !filters.queue && !filters.state && !filters.more.state;
  const said: Record<string, string | string[]> = {
    queue: filters.queue, text: filters.text.trim(), state: filters.state, matter: filters.matter, overdue: filters.overdue ? "1" : "",
    open: filters.open === plain ? "" : filters.open ? "1" : "0", sort: filters.sort, board: filters.said, ...filters.more,
  };
  return Object.fromEntries(Object.entries(said).filter((entry) => entry[1].length > 0));
}

/** What narrows the list, in the engine's words; without queue and order. */
export function narrowing(filters: Filters): Record<string, unknown> {
  const { state, matter, text, overdue, open, more } = filters;
  return {
    ...more,
    ...(more.mine ? { mine: true } : {}),
    ...(state ? { state: [state] } : {}), ...(matter ? { matter } : {}), ...(text.trim() ? { text: text.trim() } : {}),
    ...(overdue ? { overdue: true } : {}), ...(open ? { open: true } : {}),
  };
}

/** The address of a saved filter. */
export function addressOfSaved(saved: Shape<"FilterView">): Record<string, string | string[]> {
  const flat: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(saved.filters)) {
    if (value === undefined || value === null || value === "" || value === false || (Array.isArray(value) && !value.length)) continue;
    if (MORE.includes(name) || OWN.has(name)) flat[name] = value === true ? "1" : Array.isArray(value) ? (value.length === 1 ? String(value[0]) : value.map(String)) : String(value);
  }
  const plain = !saved.queue && !flat.state;
  if (flat.open === "1" && plain) delete flat.open;
  else if (!flat.open && plain) flat.open = "0";
  return { ...flat, ...(saved.queue ? { queue: saved.queue } : {}), ...(saved.sort ? { sort: saved.sort } : {}) };
}

/** Whether this is more than a queue as it comes, and so worth a name. */
export function narrowed(filters: Filters): boolean {
  const { open: _, ...rest } = narrowing(filters);
  return Object.keys(rest).length > 0 || filters.sort !== "";
}
