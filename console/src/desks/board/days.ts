// Civil days of China, spelt as «2026-11-21».
const WEEK = ["周日", "周一", "周二", "周三", "周四", "周五", "周六"];

/** «11/21 周六». */
export function shortDay(day: string): string {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return `${month}/${date} ${WEEK[new Date(Date.UTC(year, month - 1, date)).getUTCDay()]}`;
}
