/** The language on view: Chinese first, English by choice; the choice is kept. */

import { ref, watchEffect } from 'vue'
import { recall, remember } from '../state/memory'
import { en } from './en'
import type { Key } from './zh'
import { zh } from './zh'

export type Language = 'zh-CN' | 'en'
export type Say = (key: Key, fill?: Record<string, string | number>) => string

const WORDS: Readonly<Record<Language, Readonly<Record<Key, string>>>> = { 'zh-CN': zh, en }

export const language = ref<Language>(recall('language') === 'en' ? 'en' : 'zh-CN')

watchEffect(() => {
  document.documentElement.lang = language.value
  document.title = `Carbonstream · ${say('app.title')}`
})

export function setLanguage(chosen: Language): void {
  language.value = chosen
  remember('language', chosen)
}

export function say(key: Key, fill: Record<string, string | number> = {}): string {
  return WORDS[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(fill[name] ?? whole))
}

/** A word for an id the page may not know: then the id itself. */
export function sayOr(key: string, otherwise: string): string {
  return key in zh ? say(key as Key) : otherwise
}

export const nameOf = (named: { name_zh: string; name_en: string }): string =>
  language.value === 'en' ? named.name_en || named.name_zh : named.name_zh || named.name_en
