// Days as people write them.
const WEEK = ["周日", "周一", "周二", "周三", "周四", "周五", "周六"];

/** «2027-02-24 周三». */
export function spoken(day: string): string {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return `${day} ${WEEK[new Date(Date.UTC(year, month - 1, date)).getUTCDay()]}`;
}

/** Lines of «2027-07-06 自治州成立纪念日» as days with their reasons. Throws an error naming the line that is none. */
export function localDays(text: string): Record<string, string> {
  const days: Record<string, string> = {};
  for (const [at, line] of text.split("\n").entries()) {
    if (!line.trim()) continue;
    const [, day, why] = /^\s*(\d{4}-\d{2}-\d{2})[\s　,，:：]+(\S.*?)\s*$/.exec(line) ?? [];
    if (!day || !why) throw new Error(`第 ${at + 1} 行应为“日期 空格 事由”，如 2027-07-06 自治州成立纪念日`);
    days[day] = why;
  }
  return days;
}
