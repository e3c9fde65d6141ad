// The field's words and codes with their Chinese names, all from the engine.
import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { api, must, type Shape } from "@/client";

type Named = { code: string; name: string; parent: string | null };

export const useWords = defineStore("words", () => {
  const vocabulary = shallowRef<Shape<"Vocabulary"> | null>(null);
  const categories = shallowRef<Shape<"CategoryView">[]>([]);
  const areas = shallowRef<Shape<"AreaView">[]>([]);
  const units = shallowRef<Shape<"UnitView">[]>([]);
  const loading = ref<Promise<void> | null>(null);

  async function load(): Promise<void> {
    const [words, cats, regions, offices] = await Promise.all([
      must(api.GET("/api/v1/vocabulary")),
      must(api.GET("/api/v1/categories")),
      must(api.GET("/api/v1/areas")),
      must(api.GET("/api/v1/units")),
    ]);
    vocabulary.value = words;
    categories.value = cats;
    areas.value = regions;
    units.value = offices;
  }
  /** Load once; safe to ask again. */
  const ready = (): Promise<void> => (loading.value ??= load().catch((failure) => {
    loading.value = null;
    throw failure;
  }));

  const labels = computed(() => {
    const found = new Map<string, string>();
    for (const [kind, words] of Object.entries(vocabulary.value?.words ?? {}))
      for (const word of words) found.set(`${kind}/${word.value}`, word.label);
    return found;
  });
  const byCode = <Row extends Named>(rows: Row[]) => new Map(rows.map((row) => [row.code, row]));
  const categoryIndex = computed(() => byCode(categories.value));
  const areaIndex = computed(() => byCode(areas.value));
  const unitIndex = computed(() => new Map(units.value.map((unit) => [unit.code, unit.name])));

  const label = (kind: string, value: string | null | undefined): string =>
    value ? (labels.value.get(`${kind}/${value}`) ?? value) : "";
  const list = (kind: string) => vocabulary.value?.words[kind] ?? [];

  function path(index: Map<string, Named>, code: string): string[] {
    const names: string[] = [];
    for (let row = index.get(code); row; row = row.parent ? index.get(row.parent) : undefined) names.unshift(row.name);
    return names.length ? names : [code];
  }
  const category = (code: string): string => categoryIndex.value.get(code)?.name ?? code;
  const categoryPath = (code: string): string => path(categoryIndex.value, code).join(" / ");
  /** A division's name with those above it, but for the province's where there is more to say. */
  const area = (code: string): string => {
    const names = path(areaIndex.value, code);
    return names.slice(names.length > 1 ? 1 : 0).join("");
  };
  const unit = (code: string | null | undefined): string => (code ? (unitIndex.value.get(code) ?? code) : "");

  return { vocabulary, categories, areas, units, ready, label, list, category, categoryPath, area, unit };
});
