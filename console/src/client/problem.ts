import type { components } from "./schema";

export type Problem = components["schemas"]["Problem"] & Record<string, unknown>;

/** What the engine refused, in its own Chinese words, with the article where the law is the reason. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail);
  }
}

/** No answer came: the line or the server is down. Nothing says whether the request was done. */
export class Unanswered extends Error {
  constructor() {
    super("暂时连接不上服务器，您输入的内容仍在，恢复后请再试一次。");
  }
}

/** A message without the program's name of the field at its end. */
export const plain = (message: string): string => message.replace(/（[a-z_]+）$/, "");

/** The text of any failure, for people. */
export function wordsOf(failure: unknown): string {
  if (failure instanceof Refused) {
    const { code, errors, detail } = failure.problem;
    // The detail names fields as programs do; people read what is wrong at the field, and here without its name.
    return code === "validation" && errors?.length ? errors.map((one) => plain(one.message ?? one.detail ?? "")).join("；") : detail;
  }
  if (failure instanceof Unanswered) return failure.message;
  return failure instanceof Error ? `程序出错：${failure.message}` : String(failure);
}
