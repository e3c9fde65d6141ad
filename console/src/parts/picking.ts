// What a form's field may be chosen from.
import { shallowRef } from "vue";
import { api, must, type Shape } from "@/client";
import type { useWords } from "@/words";

/** What a picker must know of the ticket at hand. */
export interface TicketContext {
  number: string;
  parts: Shape<"PartView">[];
  attachments: Shape<"FileView">[];
}
export interface Choice {
  value: string | number;
  label: string;
  note?: string;
}

const platforms = shallowRef<Shape<"PlatformView">[]>([]);
/** Have the platforms at hand where a form asks for one. */
export async function needPlatforms(): Promise<Shape<"PlatformView">[]> {
  if (!platforms.value.length) platforms.value = await must(api.GET("/api/v1/platforms")).catch(() => []);
  return platforms.value;
}

/** The choices of those kinds that are small and known; undefined for what is searched for on the server. */
export function choicesOf(pick: string, words: ReturnType<typeof useWords>, ticket?: TicketContext): Choice[] | undefined {
  const vocabulary = words.vocabulary;
  switch (pick) {
    case "platform":
      return platforms.value.map((one) => ({ value: one.code, label: one.name, note: one.code }));
    case "part":
      return ticket?.parts.map((part) => ({ value: part.unit, label: part.unit_name, note: words.label("assignment_status", part.status) }));
    case "refusal_ground":
      return vocabulary?.refusal_grounds.map((ground) => ({ value: ground.key, label: ground.label, note: ground.text }));
    case "extension_reason":
      return vocabulary?.extension_reasons.map((reason) => ({ value: reason.key, label: reason.label, note: reason.text }));
    case "category":
      return words.categories.filter((one) => one.level === 3).map((one) => ({ value: one.code, label: words.categoryPath(one.code) }));
    case "category_above": // of any level: what stands above stands for all below
      return words.categories.map((one) => ({ value: one.code, label: words.categoryPath(one.code) }));
    case "area":
      return words.areas.map((one) => ({ value: one.code, label: words.area(one.code) }));
    case "recording":
      return ticket?.attachments.filter((file) => file.file_class === "recording").map((file) => ({ value: file.id, label: file.name }));
    default: { // a word of the vocabulary, or what is searched for on the server
      const list = words.list(pick);
      return list.length ? list.map((one) => ({ value: one.value, label: one.label })) : undefined;
    }
  }
}
