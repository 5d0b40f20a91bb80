import { expect, it } from 'vitest'
import { en } from './en'
import { zh } from './zh'

const holes = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort()

it('both languages fill in the same values', () => {
  for (const [key, chinese] of Object.entries(zh)) {
    expect([key, holes(en[key as keyof typeof zh])]).toEqual([key, holes(chinese)])
  }
})

it('no word is left empty or untranslated', () => {
  for (const [key, chinese] of Object.entries(zh)) {
    const english = en[key as keyof typeof zh]
    expect(english.trim(), key).not.toBe('')
    if (key !== 'app.language') expect(english, key).not.toMatch(/[\u4e00-\u9fff]/)
    expect(chinese.trim(), key).not.toBe('')
  }
})
