/** This browser's storage; where it is denied, what was set lasts as long as the page. */
const here = new Map<string, string>()

export function read(key: string): string {
  try {
    return localStorage.getItem(key) ?? here.get(key) ?? ''
  } catch {
    return here.get(key) ?? ''
  }
}

export function write(key: string, value: string): void {
  here.set(key, value)
  try {
    if (value) localStorage.setItem(key, value)
    else localStorage.removeItem(key)
  } catch {
    // Kept in the map.
  }
}
