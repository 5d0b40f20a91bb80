/** Dark or light: the operator's choice, else the browser's preference. */

import { ref, watchEffect } from 'vue'
import { recall, remember } from './memory'

export type Theme = 'dark' | 'light'

function first(): Theme {
  const chosen = recall('theme')
  if (chosen === 'dark' || chosen === 'light') return chosen
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'
}

export const theme = ref<Theme>(first())

watchEffect(() => {
  document.documentElement.dataset.theme = theme.value
})

export function toggleTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  remember('theme', theme.value)
}
