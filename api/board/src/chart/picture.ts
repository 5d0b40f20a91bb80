/** The chart's picture: bars of the period, a dashed step line of the one before it behind them. */

import type { EChartsCoreOption } from 'echarts/core'
import { approximate, decimal, shift } from '../logic/decimal'
import { local } from '../logic/periods'
import type { Row } from '../logic/rows'
import type { View } from '../logic/view'
import type { Bucket } from '../wire/shapes'
import { tick } from '../words/moments'

export interface Palette {
  readonly text: string
  readonly line: string
  readonly series: string
  readonly hollow: string
  readonly before: string
  readonly alarm: string
  readonly panel: string
  readonly font: string
  readonly size: number
}

const height = (bucket: Bucket | null): number | null =>
  bucket === null || bucket.co2_kg === null ? null : approximate(shift(decimal(bucket.co2_kg), 3))

/** Full where the figure stands, hollow where it may still change or lacks readings, '?' where it is unknown. */
function bar(row: Row, palette: Palette) {
  if (row.state === 'unknown') {
    const label = { show: true, formatter: '?', position: 'top', color: palette.alarm, fontWeight: 'bold', fontSize: palette.size * 1.2 }
    return { value: 0, label }
  }
  const value = height(row.bucket)
  if (row.state === 'final' || value === null) return { value }
  return { value, itemStyle: { color: palette.hollow, borderColor: palette.series, borderWidth: 1.5, borderType: 'dashed' } }
}

export function picture(
  view: View,
  rows: readonly Row[],
  palette: Palette,
  tooltip: (index: number) => HTMLElement | string,
): EChartsCoreOption {
  const text = { color: palette.text, fontFamily: palette.font, fontSize: palette.size }
  const by_days = view.kind === 'year-days'
  return {
    animation: false,
    textStyle: text,
    grid: { left: 4, right: 8, top: 10, bottom: 2, containLabel: true },
    tooltip: {
      trigger: 'axis',
      axisPointer: { type: 'shadow' },
      confine: true,
      transitionDuration: 0,
      backgroundColor: palette.panel,
      borderColor: palette.line,
      textStyle: text,
      formatter: (points: unknown) => tooltip((points as { dataIndex: number }[])[0]?.dataIndex ?? 0),
    },
    xAxis: {
      type: 'category',
      data: rows.map((row) => tick(view, row.span.from)),
      axisLine: { lineStyle: { color: palette.line } },
      axisTick: { show: false },
      axisLabel: {
        ...text,
        hideOverlap: true,
        ...(by_days ? { interval: (index: number) => local(rows[index]?.span.from ?? 0).day === 1 } : {}),
      },
    },
    yAxis: {
      type: 'value',
      splitNumber: 4,
      // Without a bar or a line the scale would be made up.
      axisLabel: { ...text, show: rows.some((row) => height(row.bucket) !== null || height(row.before) !== null) },
      splitLine: { lineStyle: { color: palette.line } },
    },
    series: [
      {
        type: 'bar',
        data: rows.map((row) => bar(row, palette)),
        itemStyle: { color: palette.series },
        barCategoryGap: by_days ? '10%' : '28%',
        // A bar of 366 may be narrower than a pixel otherwise.
        barMinWidth: 1,
        emphasis: { disabled: true },
      },
      {
        type: 'line',
        step: 'middle',
        symbol: 'none',
        data: rows.map((row) => height(row.before)),
        lineStyle: { color: palette.before, width: by_days ? 1 : 2, type: 'dashed' },
        emphasis: { disabled: true },
        z: 3,
      },
    ],
  }
}
