// What a newcomer is shown of each desk: one sentence for one thing on the screen. A step whose thing is not there is left out.
export interface Step {
  /** The thing pointed at; of several the first that is there. None: the desk as a whole. */
  at?: string | string[];
  title: string;
  text: string;
}

const FIND: Step = { at: ".bar .find", title: "一个框到哪里都行", text: "按 Ctrl K，输入工单编号、页面名或操作名，回车就到。" };
const HELP: Step = { at: ".bar .help", title: "想不起来时按 ?", text: "这里列出本页全部快捷键，还有带图的使用手册；本引导也能从这里再看一遍。" };
const CLOSE = [FIND, HELP];

/** The same rhythm on every working desk: the queue, the ticket, what to do with it. */
const working = (title: string, whole: string, work: string): Step[] => [
  { title, text: `${whole}约三分钟看完，随时可按 Esc 跳过。` },
  { at: ".work-list .queues", title: "队列", text: "每个队列后面是件数，红色表示有逾期。按 ] 和 [ 换队列；空的队列自动收起。" },
  { at: ".work-list .rows", title: "工单", text: "按期限先后排列。↑ ↓ 换一件，Enter 到右边的表单；颜色和文字都说明还剩多久，按服务器时间计算。" },
  { at: [".work-list .context", ".work-list .side"], title: "这件工单", text: "诉求、期限和各单位的办理情况都在这里。点“为什么？”看期限是怎样一天天数出来的。" },
  { at: [".work-list .work", ".work-list .side"], title: "办理", text: work },
  { at: ".work-list .foot", title: "自己会更新", text: "新来的工单自己出现，不用刷新。别人正打开同一件时，您会看到他的名字。" },
  ...CLOSE,
];

export const TOURS: Record<string, Step[]> = {
  agent: [
    { title: "话务台", text: "接起电话到派出工单，都在这一页，不用鼠标。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".caller-side", title: "来电人", text: "电话一响，这里显示来电号码（打码）和以往的工单；疑似重复的工单也在这里，Alt M 并单。" },
    { at: "[aria-label=诉求登记] textarea", title: "诉求内容", text: "光标已经在这里，边听边打。打的每个字都随时保存，断网、刷新、换座位都不丢。" },
    { at: "[aria-label=诉求登记] [role=radiogroup]", title: "诉求类型", text: "按 1 到 5 选。类型决定法定的办理期限，派单以后在工单的时限里看得到。" },
    { at: "[aria-label=诉求登记] .two", title: "分类和地区", text: "打拼音首字母就能找：hzdb 是湟中多巴，grsw 是供热室温。Alt C 采用建议的分类。" },
    { at: ".knowledge", title: "知识库", text: "随您打字自动查找，第一条已经打开。能当场答复的，念给来电人听，Alt A 一键办结。" },
    { at: ".decisions", title: "怎样处理", text: "Ctrl Enter 受理并派单；不归热线管的按 Alt B，选一项法定理由并告诉来电人去哪里办。" },
    ...CLOSE,
  ],
  queues: [
    { title: "工单队列", text: "您看得到的全部工单都在这里。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".desk [role=navigation], .desk nav", title: "队列", text: "左边是您的各个队列和件数；常用的筛选可以起名保存在这里。" },
    { at: ".list [role=search]", title: "筛选", text: "按 / 输入文字查找，或按状态、类型、是否超期筛选。条件都在网址里，可以收藏、发给同事。" },
    { at: ".list [role=grid]", title: "工单", text: "↑ ↓ 选，Enter 打开。上万件也能一直往下滚；期限按服务器时间倒计。" },
    { at: ".list .line input[type=checkbox]", title: "成批办理", text: "空格选中几件，下面出现可以成批进行的操作；每一件的结果分别告诉您。" },
    ...CLOSE,
  ],
  dispatch: working("派单台", "待派单、退单、延期，一件接一件。", "建议的单位带着依据和理由，Ctrl Enter 派出；派完自动到下一件。"),
  review: working("审核台", "逐项认定办理结果。", "按 1 到 4 标出不符合的要素，全部符合按 Alt P 通过；退回补办时写明补什么、几天内。"),
  callback: working("回访台", "给来电人打电话，问两个问题。", "先看号码（留痕），照话术问，按 Y、N 和数字键登记；没打通也要登记，换个日子再打。"),
  unit: working("承办台", "签收、反馈、答复来电人，都在这里。", "先签收；不归本单位的，在退单时限内提退单。办不完的，届满前申请延期。"),
  board: [
    { title: "督办看板", text: "全平台欠着什么、晚了什么、等着什么。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".figures", title: "数字", text: "每个数字点开就是背后的工单。红色的要马上处理。" },
    { at: ".pair", title: "图", text: "左边是未来两周哪天到期多少，右边是近两周受理多少；点一天看那天的工单。" },
    { at: ".columns > :first-child", title: "各单位", text: "每个单位在办、将到期、已逾期的件数，可按列排序，数字都能点开。" },
    { at: ".columns .side", title: "应急、通报、催办", text: "宣布应急后可以越级直派；自动催办和通报也列在这里。" },
    { at: ".buttons", title: "上墙", text: "全屏（Alt F）放到大屏上，每分钟自己更新。" },
    ...CLOSE,
  ],
  knowledge: [
    { title: "知识库", text: "查口径、写条目、审核、保鲜。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".pages", title: "几个页面", text: "检索、编写与审核、待完善、提问……按 Alt 加数字切换。" },
    { at: ".found [role=search]", title: "检索", text: "口语、关键词、拼音都行，随打随出。没有查到的按 Enter，会记为采集需求。" },
    { at: ".found ul", title: "结果", text: "按 j、k 上下看；有没有过期、本地有没有另外的口径，都标在下面。" },
    { at: ".reading", title: "条目", text: "答复口径、依据和办事指南。每个版本都留着，可以比较改了哪里。" },
    ...CLOSE,
  ],
  reports: [
    { title: "统计报告", text: "按办法的指标统计，每个数字都能点开看工单。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".pages", title: "统计数据和报告", text: "前一页随时统计，后一页是要报送的报告：系统按期起草，一人审核，另一人报送。" },
    { at: "[aria-label=统计范围]", title: "统计范围", text: "选统计期、分组、单位、分类、区划。条件都在网址里，可以收藏、发给同事。" },
    { at: "main .all", title: "指标", text: "每个指标写着分子、分母，点开就是背后的工单；口径只有一个，处处相同。" },
    { at: "main .tools .push", title: "视图和专题报告", text: "常用的统计保存为视图；要专门说明的，起草专题报告。" },
    ...CLOSE,
  ],
  assessment: [
    { title: "热点考核", text: "群众反复反映什么，督办函发给谁，考核怎样得分。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".pages", title: "几个页面", text: "诉求热点、督办函、考核、评定分、数据抽查、容错剔除，按您的权限显示。按 Alt 加数字切换。" },
    { at: ["main .tools", "main .split", "main form"], title: "范围和操作", text: "在这里换时段、换一次分析，或做这一页的事；您没有权限的不显示。" },
    { at: ["main table", "main .split > :first-child", "main .panel"], title: "清单", text: "每个数字、每一分都能点开，看是由哪些工单得来的。" },
    ...CLOSE,
  ],
  admin: [
    { title: "管理与设置", text: "人员、单位、接口、日历和审计；每人都有“我的账号”。随时可按 Esc 跳过。" },
    { at: ".pages", title: "几个页面", text: "您有权的页面列在这里，按 Alt 加数字切换。" },
    { at: ["main .split", "main table", "main .panel"], title: "这一页", text: "改动立即生效，全部留痕；谁在何时改了什么，在“审计”里查。" },
    ...CLOSE,
    { at: ".bar .theme", title: "深色和浅色", text: "夜班时按 Alt T 换成深色。" },
  ],
  ticket: [
    { title: "工单页", text: "一件工单的全貌。约三分钟看完，随时可按 Esc 跳过。" },
    { at: ".acts", title: "可进行的操作", text: "只列出此刻您能做的。按 Alt 加数字打开表单。" },
    { at: "main aside .books", title: "两本账", text: "一本记各单位和平台的期限，一本记来电人等了多久。" },
    { at: "main aside .panel li button", title: "为什么是这一天？", text: "期限证明把每一天数给您看：哪天算工作日，哪天放假，依据哪一条。Alt C 也能打开。" },
    { at: ".columns > .column > .panel:last-of-type", title: "全过程", text: "谁在何时做了什么，从受理到归档，一条也不会少。" },
    { at: ".acts .print", title: "打印", text: "Alt P 打印，按纸面排好。" },
    ...CLOSE,
  ],
};
