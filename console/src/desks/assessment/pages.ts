/** The desk's pages, each with the operation that makes it somebody's. */
export const PAGES = [
  { name: "hotspots", title: "诉求热点", needs: "list_hotspots" },
  { name: "letters", title: "督办函", needs: "list_letters" },
  { name: "scores", title: "考核", needs: "list_assessments" },
  { name: "points", title: "评定分", needs: "list_points" },
  { name: "samples", title: "数据抽查", needs: "list_samples" },
  { name: "exclusions", title: "容错剔除", needs: "list_exclusions" },
];
