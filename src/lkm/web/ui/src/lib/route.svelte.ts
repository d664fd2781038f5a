/** The address is the state: `#/life?choice=hello&at=12`. */

export const VIEWS = [
  ['start', 'Start', 'A real kernel loads a real module'],
  ['life', 'Life', 'From a file to gone, and what holds it'],
  ['way', 'Way', 'Where the kernel stops, and why'],
  ['memory', 'Memory', 'Sections, pages, addresses'],
  ['option', 'y, m, n', 'Built in, a module, or not at all'],
  ['needs', 'Needs', 'What comes along, in which order'],
  ['rules', 'Rules', 'Who decides what a name loads'],
  ['signing', 'Signing', 'Whose key, and who insists'],
  ['taint', 'Taint', 'Twenty bits the kernel never forgets'],
  ['play', 'Play', 'Write one and try it'],
] as const

export type View = (typeof VIEWS)[number][0]

class Route {
  view = $state<View>('start')
  params = $state.raw<Record<string, string>>({})
  /** Counts the times the address was changed from outside (a link, back, typed). */
  visits = $state(0)

  constructor() {
    this.read()
    addEventListener('hashchange', () => this.read())
  }

  read(): void {
    const [path, query] = location.hash.replace(/^#\/?/, '').split('?')
    this.view = VIEWS.find(([id]) => id === path)?.[0] ?? 'start'
    this.params = Object.fromEntries(new URLSearchParams(query))
    this.visits += 1
  }

  /** Change parameters of this view's address without a new step in the history; an empty value leaves one out. */
  set(changes: Record<string, string | number>): void {
    const all = { ...this.params }
    for (const [key, value] of Object.entries(changes)) {
      if (value === '') delete all[key]
      else all[key] = String(value)
    }
    this.params = all
    history.replaceState(null, '', address(this.view, all))
  }
}

export function address(view: View, params: Record<string, string> = {}): string {
  const query = new URLSearchParams(params).toString()
  return `#/${view}${query && `?${query}`}`
}

export const route = new Route()
