/** The pages of the desk and the operation each needs. */
export const ADMIN_PAGES = [
  { name: "admin-people", title: "人员", needs: "list_people" },
  { name: "admin-units", title: "单位与平台", needs: "change_unit" },
  { name: "admin-catalogue", title: "派单目录", needs: "list_catalogue" },
  { name: "admin-clients", title: "接口客户端", needs: "list_clients" },
  { name: "admin-subscriptions", title: "事件订阅", needs: "list_subscriptions" },
  { name: "admin-calendar", title: "日历", needs: "calendar" },
  { name: "admin-rules", title: "规则包", needs: "statute" },
  { name: "admin-audit", title: "审计", needs: "list_audit" },
  { name: "admin-alerts", title: "预警", needs: "list_alerts" },
  { name: "admin-exports", title: "导出", needs: "list_exports" },
  { name: "admin-account", title: "我的账号", needs: "list_sessions" },
];
