/** What the browser keeps of the operator's choices. A browser that forbids storage only forgets them. */

type Name = 'language' | 'theme' | 'entity'

const key = (name: Name): string => `carbonstream.${name}`

export function recall(name: Name): string | null {
  try {
    return localStorage.getItem(key(name))
  } catch {
    return null
  }
}

export function remember(name: Name, value: string): void {
  try {
    localStorage.setItem(key(name), value)
  } catch {
    // Storage is switched off: the choice holds until the page is closed.
  }
}
