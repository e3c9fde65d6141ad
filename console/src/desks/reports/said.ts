// Figures as people read them. The engine counts; here they are only written.
import type { Shape } from "@/client";

export type Figure = Pick<Shape<"FigureView">, "numerator" | "denominator" | "value" | "median" | "beside">;
export type Unit = Shape<"IndicatorView">["unit"];

/** 95.12%, 3.42 工作日, 107; — where there is nothing to divide by. */
export function written(figure: Figure | undefined, unit: Unit): string {
  if (!figure || figure.value === null) return "—";
  if (unit === "percent") return `${(Number(figure.value) * 100).toFixed(2)}%`;
  return unit === "count" ? figure.value : Number(figure.value).toFixed(2);
}

/** What a rate is made of, or over how many a mean is. */
export function made(figure: Figure, unit: Unit): string {
  if (unit === "percent") return `${figure.numerator} / ${figure.denominator}`;
  return unit === "count" ? "" : `${figure.denominator} 件${figure.median === null ? "" : `，中位数 ${figure.median}`}`;
}

export const beside = (figure: Figure): string => Object.entries(figure.beside).map(([label, count]) => `${label} ${count}`).join("，");
