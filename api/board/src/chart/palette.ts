/** The chart's colours and letters, read from the page's style so that both themes hold for it. */

import type { Palette } from './picture'

export function palette(of: Element): Palette {
  const style = getComputedStyle(of)
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    text: colour('dim'),
    line: colour('line'),
    series: colour('series'),
    hollow: colour('hollow'),
    before: colour('before'),
    alarm: colour('bad'),
    panel: colour('raised'),
    font: style.fontFamily,
    size: parseFloat(style.fontSize),
  }
}
