/** What a person chose about the look; kept in this browser. */

const NAMES = ['theme', 'size', 'motion', 'keys'] as const
type Name = (typeof NAMES)[number]

class Settings {
  values = $state<Record<Name, string>>({ theme: '', size: '', motion: '', keys: '' })

  constructor() {
    for (const name of NAMES) this.set(name, localStorage.getItem(`lkm-${name}`) ?? '')
  }

  set(name: Name, value: string): void {
    this.values[name] = value
    if (value) {
      document.documentElement.dataset[name] = value
      localStorage.setItem(`lkm-${name}`, value)
    } else {
      delete document.documentElement.dataset[name]
      localStorage.removeItem(`lkm-${name}`)
    }
  }

  /** Whether things may move by themselves. */
  get still(): boolean {
    const { motion } = this.values
    return motion === 'off' || (motion !== 'on' && matchMedia('(prefers-reduced-motion: reduce)').matches)
  }
}

export const settings = new Settings()
