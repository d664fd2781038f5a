/** What a person chose about the look; kept in this browser. */
import { read, write } from './store'

const NAMES = ['theme', 'size', 'motion', 'keys'] as const
type Name = (typeof NAMES)[number]

class Settings {
  values = $state<Record<Name, string>>({ theme: '', size: '', motion: '', keys: '' })

  constructor() {
    for (const name of NAMES) this.set(name, read(`lkm-${name}`))
  }

  set(name: Name, value: string): void {
    this.values[name] = value
    write(`lkm-${name}`, value)
    if (value) document.documentElement.dataset[name] = value
    else delete document.documentElement.dataset[name]
  }

  /** Whether things may move by themselves. */
  get still(): boolean {
    const { motion } = this.values
    return motion === 'off' || (motion !== 'on' && matchMedia('(prefers-reduced-motion: reduce)').matches)
  }
}

export const settings = new Settings()
