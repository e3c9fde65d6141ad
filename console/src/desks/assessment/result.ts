// An assessment's result as it is kept: subjects, grouped by the tier they are ranked in; where a point's figure leads.
import type { RouteLocationRaw } from "vue-router";

export interface Item { key: string; name: string; figure: string; weight: string; points: string | null; why: string }
export interface Subject { kind: string; code: string; name: string; tier: string; total: string | null; rank: number | null; of: number | null; items?: Item[] }
export interface Named { kind: string; code: string; name: string; why: string }
export interface Result { platform: string; period: { first: string; last: string }; subjects: Subject[]; commended: Named[]; accountable: Named[] }
export interface Tier { name: string; subjects: Subject[] }

/** The subjects by tier, in the order they are told. */
export function tiersOf(result: Result, label: (level: string) => string): Tier[] {
  const tiers = new Map<string, Tier>();
  for (const one of result.subjects) {
    const key = `${one.kind}:${one.tier}`;
    if (!tiers.has(key)) tiers.set(key, { name: `${label(one.tier)}${one.kind === "unit" ? "承办单位" : "热线平台"}`, subjects: [] });
    tiers.get(key)!.subjects.push(one);
  }
  return [...tiers.values()];
}

const NO_INDICATOR = ["entered", "flags", "notices", "reminders"];

/** The tickets an item's figure counts; null where it is no indicator of the reports. Of a unit's own person the unit goes without saying. */
export function behind(result: Result, subject: Subject, item: Item, own: boolean): RouteLocationRaw | null {
  if (NO_INDICATOR.includes(item.figure)) return null;
  const period = `${result.period.first}..${result.period.last}`;
  const whose = subject.kind === "platform" ? { platform: subject.code, below: "0" } : own ? {} : { platform: result.platform, unit: subject.code };
  return { name: "reports-counted", params: { indicator: item.figure }, query: { period, ...whose } };
}
