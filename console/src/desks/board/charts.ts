// ECharts, the few parts we draw with; a chunk of its own.
import { BarChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

export interface Series {
  name: string;
  values: number[];
  /** The name of the colour's token, such as --accent. */
  colour: string;
}
export interface Drawing {
  labels: string[];
  /** Labels written quietly: days off. */
  quiet: boolean[];
  series: Series[];
}

const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A bar chart in `place`; `pick` is told which bar was clicked. */
export function draw(place: HTMLElement, pick: (at: number) => void) {
  const chart = init(place, undefined, { renderer: "canvas" });
  chart.on("click", (event) => pick(event.dataIndex));
  chart.getZr().on("click", (event) => {
    const found = chart.convertFromPixel({ gridIndex: 0 }, [event.offsetX, event.offsetY]);
    if (!event.target && found && Number.isFinite(found[0])) pick(Math.round(found[0] as number));
  });
  const watcher = new ResizeObserver(() => chart.resize());
  watcher.observe(place);

  function show({ labels, quiet, series }: Drawing): void {
    const [ink, soft, line, font] = [token("--ink"), token("--ink-quiet"), token("--line"), token("--el-font-family")];
    chart.setOption({
      textStyle: { fontFamily: font },
      animation: false,
      grid: { left: 40, right: 10, top: series.length > 1 ? 34 : 14, bottom: 42 },
      legend: series.length > 1 ? { top: 0, right: 0, textStyle: { color: soft }, itemWidth: 12, itemHeight: 12 } : undefined,
      tooltip: { trigger: "axis", renderMode: "richText", backgroundColor: token("--panel"), borderColor: line, textStyle: { color: ink } },
      xAxis: { type: "category", data: labels, axisTick: { show: false }, axisLine: { lineStyle: { color: line } }, axisLabel: { interval: 0, lineHeight: 15, fontSize: 11, color: (_: unknown, at?: number) => (quiet[at ?? 0] ? soft : ink) } },
      yAxis: { type: "value", minInterval: 1, axisLabel: { color: soft }, splitLine: { lineStyle: { color: line } } },
      series: series.map((one) => ({ name: one.name, type: "bar", stack: "all", data: one.values, barMaxWidth: 26, itemStyle: { color: token(one.colour) }, cursor: "pointer" })),
    }, true);
  }
  function end(): void {
    watcher.disconnect();
    chart.dispose();
  }
  return { show, end };
}
