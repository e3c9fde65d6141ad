// A report's content as the engine freezes it, typed for what this page shows.
import type { Figure, Unit } from "./said";

export interface Definition {
  key: string;
  name: string;
  definition: string;
  article: string;
  unit: Unit;
}
export interface Case {
  title?: string;
  kind: "good" | "slow";
  number: string;
  category: string;
  units: string[];
  demand: string;
  result: string;
}
export interface Line {
  key: string;
  name: string;
  figures: Record<string, Figure>;
}
export interface Content {
  as_of: string;
  view?: { slice?: Record<string, unknown> };
  definitions: Definition[];
  figures: { whole: Record<string, Figure>; tables: Record<string, Line[]> };
  /** Not in reports filed before they told cases. */
  cases?: Case[];
  cases_rule?: string;
  cases_covered?: { number: string; by: string }[];
  cases_struck?: { number: string; reason: string; by: string }[];
}
export const asContent = (content: Record<string, unknown>): Content => content as unknown as Content;

export const TABLES: Record<string, string> = {
  platform: "热线平台", unit: "承办单位", level: "单位层级", matter: "诉求性质", category: "诉求分类", category_2: "诉求分类（一级）", category_4: "诉求分类（二级）", category_6: "诉求分类（三级）",
  area: "行政区划", area_2: "省", area_4: "市（州）", area_6: "县（区）", channel: "受理渠道", agent: "话务员", day: "日", month: "月", whole: "总体",
};
