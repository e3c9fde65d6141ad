// The fields of a 办事指南, named as the form names them.
import { formOfOperation } from "@/client/operations";

export const guideFields = (): { name: string; title: string }[] =>
  formOfOperation("write_article").fields.find((field) => field.name === "guide")?.fields?.map(({ name, title }) => ({ name, title })) ?? [];
