import { describe, expect, it } from 'vitest'
import { add, approximate, compare, decimal, multiply, ratio, round, shift, subtract, sum, text } from './decimal'

const rounded = (value: string, places: number): string => text(round(decimal(value), places))

describe('rounding', () => {
  it.each([
    ['0.0005', '0.000'],
    ['0.0015', '0.002'],
    ['0.0025', '0.002'],
    ['0.00250000000000000001', '0.003'],
    ['2.0004999', '2.000'],
    ['-0.0015', '-0.002'],
    ['-0.0025', '-0.002'],
    ['999.9995', '1,000.000'],
  ])('takes %s to %s: halves go to the even digit', (value, expected) => {
    expect(rounded(value, 3)).toBe(expected)
  })

  it('shows a plant-year of 477,325.090194 kg as 477.325 t', () => {
    expect(text(round(shift(decimal('477325.090194'), 3), 3))).toBe('477.325')
  })

  it('never prints a minus before zero', () => {
    expect(rounded('-0.0001', 3)).toBe('0.000')
  })

  it('fills up to the wanted places', () => {
    expect(rounded('5', 3)).toBe('5.000')
  })
})

describe('arithmetic', () => {
  it('adds without the drift of floating point', () => {
    expect(text(sum(Array.from({ length: 10 }, () => decimal('0.1'))))).toBe('1.0')
  })

  it('keeps digits that a double would lose', () => {
    expect(text(add(decimal('9007199254740993.000001'), decimal('0.000001')))).toBe('9,007,199,254,740,993.000002')
  })

  it('multiplies a quantity by a coefficient exactly', () => {
    expect(text(multiply(decimal('959640.310'), decimal('0.4974')))).toBe('477,325.0901940')
  })

  it('subtracts and compares across scales', () => {
    expect(text(subtract(decimal('1'), decimal('0.001')))).toBe('0.999')
    expect(compare(decimal('1.0'), decimal('1.000'))).toBe(0)
    expect(compare(decimal('-1'), decimal('0.5'))).toBe(-1)
  })
})

describe('ratio', () => {
  it('is rounded half-even at the wanted place', () => {
    expect(ratio(decimal('1'), decimal('8'), 2)).toEqual(decimal('0.12'))
    expect(ratio(decimal('3'), decimal('8'), 2)).toEqual(decimal('0.38'))
    expect(ratio(decimal('-1'), decimal('3'), 3)).toEqual(decimal('-0.333'))
  })

  it('is unknown against zero', () => {
    expect(ratio(decimal('1'), decimal('0.000'), 2)).toBeNull()
  })
})

describe('reading', () => {
  it.each(['', '1e3', 'NaN', '1.', '.5', '+1', '1,000'])('refuses %j', (value) => {
    expect(() => decimal(value)).toThrow(RangeError)
  })

  it('gives lengths for bars', () => {
    expect(approximate(decimal('-12.50'))).toBe(-12.5)
  })
})
