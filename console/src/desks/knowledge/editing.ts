// An article as it is shown, back into the order by which it is written anew.
import type { Shape } from "@/client";

export type Draft = Record<string, unknown>;
const SAME = ["question", "kind", "legal_basis", "unit", "valid_from", "valid_until", "review_on", "source_url"] as const;
const LISTS = ["categories", "areas", "synonyms"] as const;

/** What a new version starts from: everything of the version seen but its note, without what is empty. */
export function editable(view: Shape<"ArticleView">): Draft {
  const draft: Draft = { answer: view.markdown };
  for (const name of SAME) if (view[name] !== null && view[name] !== undefined) draft[name] = view[name];
  for (const name of LISTS) if (view[name].length) draft[name] = view[name];
  const guide = Object.fromEntries(Object.entries(view.guide).filter(([name, value]) => value !== null && !/_(days|unit)$/.test(name)));
  if (Object.keys(guide).length) draft.guide = guide;
  return draft;
}
