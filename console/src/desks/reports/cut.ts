// A period and a cut of the figures, as the address of the page has them: what is asked of the engine, and where a line leads.
import type { LocationQuery, LocationQueryRaw } from "vue-router";

export const CUT = ["platform", "unit", "level", "matter", "category", "area", "channel", "agent"] as const;
export const BYS = [
  ["whole", "不分组"], ["platform", "热线平台"], ["unit", "承办单位"], ["level", "单位层级"], ["matter", "诉求性质"], ["category", "诉求分类"],
  ["area", "行政区划"], ["channel", "受理渠道"], ["agent", "话务员"], ["day", "日"], ["month", "月"],
] as const;
export type By = (typeof BYS)[number][0];
type Said = Record<string, string>;

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** What the page's address says: only words that are known, and none that are empty. */
export function readCut(query: LocationQuery): Said {
  const said: Said = {};
  for (const name of [...CUT, "period", "by", "depth", "rollup", "below"]) if (text(query[name])) said[name] = text(query[name]);
  return said;
}

/** The query of GET /reports/figures. */
export function asked(said: Said): Record<string, unknown> {
  const { rollup, below, depth, ...rest } = said;
  const query: Record<string, unknown> = { by: "whole", ...rest };
  if (rollup === "1" && (said.unit || said.by === "unit")) query.rollup = true;
  if (below === "0") query.below = false;
  if (depth && ["category", "area"].includes(said.by ?? "")) query.depth = Number(depth);
  return query;
}

/** The cut alone, as saved views and special reports keep it. */
export function sliceOf(said: Said): Record<string, unknown> {
  const kept = Object.fromEntries(CUT.filter((name) => said[name]).map((name) => [name, said[name]]));
  return { ...kept, ...(said.below === "0" ? { below: false } : {}), ...(said.rollup === "1" && said.unit ? { rollup: true } : {}) };
}

/** The address of a saved view: its cut and its first breakdown. */
export function addressOf(view: { slice?: Record<string, unknown>; by?: string[] }, period: string): LocationQueryRaw {
  const { below, rollup, ...rest } = view.slice ?? {};
  const said = Object.fromEntries(Object.entries(rest).filter(([, value]) => value).map(([name, value]) => [name, String(value)]));
  return { ...said, period, by: view.by?.[0] ?? "whole", ...(below === false ? { below: "0" } : {}), ...(rollup ? { rollup: "1" } : {}) };
}

/** The cut of one line of a breakdown, to list what it counts; null where there is no word for it. */
export function within(said: Said, key: string): Said | null {
  const { by, depth: _depth, ...rest } = said;
  if (key === "none" || key === "platform") return null;
  if (by === "day") return { ...rest, period: key };
  if (by === "month") return { ...rest, period: key.slice(0, 7) };
  if (by === "platform") return { ...rest, platform: key, below: "0" };
  if (by === "whole" || !by) return rest;
  return { ...rest, [by]: key };
}

// --- periods ---------------------------------------------------------------------------------------------------------

/** The month before this day, as it is written: where somebody who asks for figures mostly looks. */
export function lastMonth(today: Date): string {
  const [year, month] = chinaMonth(today);
  return month === 1 ? `${year - 1}-12` : `${year}-${String(month - 1).padStart(2, "0")}`;
}
function chinaMonth(at: Date): [number, number] {
  const said = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit" }).format(at);
  return [Number(said.slice(0, 4)), Number(said.slice(5, 7))];
}

/** The period before or after: of months, quarters, years; null for others, which have none. */
export function step(period: string, by: 1 | -1): string | null {
  const month = /^(\d{4})-(\d{2})$/.exec(period);
  if (month) {
    const at = Number(month[1]) * 12 + Number(month[2]) - 1 + by;
    return `${Math.floor(at / 12)}-${String((at % 12) + 1).padStart(2, "0")}`;
  }
  const quarter = /^(\d{4})-Q([1-4])$/.exec(period);
  if (quarter) {
    const at = Number(quarter[1]) * 4 + Number(quarter[2]) - 1 + by;
    return `${Math.floor(at / 4)}-Q${(at % 4) + 1}`;
  }
  return /^\d{4}$/.test(period) ? String(Number(period) + by) : null;
}
