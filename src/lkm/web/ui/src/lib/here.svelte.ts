import type { PageState } from '../api'
import { exported, get } from './server'

/** What the server's machine has: kernels, a compiler, QEMU; loaded once, and again after a fetch. */
class Here {
  state = $state.raw<PageState | undefined>()
  /** The release that requests name; empty: the server's default. */
  kernel = $state('')
  problem = $state('')

  #first: Promise<void> | undefined

  /** Whether there is a server with a kernel to ask about. */
  async asks(): Promise<boolean> {
    if (exported) return false
    await (this.#first ??= this.load())
    return !!this.state?.kernels.length
  }

  async load(): Promise<void> {
    if (exported) return
    try {
      this.state = await get<PageState>('/api/state')
      this.problem = ''
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error)
    }
  }

  /** Whether a kernel can be run here now. */
  get able(): boolean {
    return !!this.state?.emulated && this.state.kernels.some((k) => k.bootable)
  }

  get query(): string {
    return this.kernel ? `&kernel=${encodeURIComponent(this.kernel)}` : ''
  }
}

export const here = new Here()
