/** Draw what a module needs, and a whole tree of modules. */
import { graphlib, layout } from '@dagrejs/dagre'
import { hierarchy, treemap, treemapBinary, type HierarchyRectangularNode } from 'd3-hierarchy'
import type { NeedsGraph, TreeMap } from '../api'

export interface Box { name: string; x: number; y: number; width: number; height: number; order: number }
export interface Line { module: string; needs: string; kind: string; d: string; x: number; y: number }
export interface Drawing { boxes: Box[]; lines: Line[]; width: number; height: number }

const LETTER = 8.4

export function draw(graph: NeedsGraph): Drawing {
  const g = new graphlib.Graph().setGraph({ rankdir: 'LR', nodesep: 14, ranksep: 70, marginx: 4, marginy: 4 }).setDefaultEdgeLabel(() => ({}))
  for (const m of graph.modules) g.setNode(m.name, { width: m.name.length * LETTER + 56, height: 36 })
  for (const e of graph.edges) g.setEdge(e.module, e.needs, { kind: e.kind })
  layout(g)
  const order = new Map(graph.modules.map((m) => [m.name, m.order]))
  const boxes = g.nodes().map((name) => ({ name, order: order.get(name) ?? -1, ...(g.node(name) as { x: number; y: number; width: number; height: number }) }))
  const lines = g.edges().map((e) => {
    const { points, kind } = g.edge(e) as unknown as { points: { x: number; y: number }[]; kind: string }
    return { module: e.v, needs: e.w, kind, d: curve(points), ...points[Math.floor(points.length / 2)]! }
  })
  const size = g.graph() as { width?: number; height?: number }
  return { boxes, lines, width: size.width ?? 100, height: size.height ?? 40 }
}

/** A smooth line through dagre's points: quadratic, with the points as controls. */
function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points
  let d = `M${first!.x},${first!.y}`
  rest.forEach((p, i) => {
    const next = rest[i + 1]
    d += next ? `Q${p.x},${p.y} ${(p.x + next.x) / 2},${(p.y + next.y) / 2}` : `L${p.x},${p.y}`
  })
  return d
}

export interface Cell { module: number; name: string; folder: string; x: number; y: number; width: number; height: number }
export interface Region { folder: string; depth: number; x: number; y: number; width: number; height: number }
interface Leaf { name: string; folder: string; index: number; size: number }
interface Folder { name: string; children: (Folder | Leaf)[] }

/** All modules of a kernel as rectangles by folder, as large as their files. */
export function plan(tree: TreeMap, width: number, height: number): { cells: Cell[]; regions: Region[] } {
  const root: Folder = { name: '', children: [] }
  const folders = new Map<string, Folder>([['', root]])
  const folderOf = (path: string): Folder => {
    const known = folders.get(path)
    if (known) return known
    const made: Folder = { name: path, children: [] }
    folders.set(path, made)
    const cut = path.lastIndexOf('/')
    folderOf(cut < 0 ? '' : path.slice(0, cut)).children.push(made)
    return made
  }
  // Two levels are enough to find one's way: drivers/net/… is drawn in drivers/net.
  const near = (path: string) => path.split('/').slice(0, 2).join('/')
  tree.modules.forEach((m, index) => {
    const path = tree.folders[m.folder] ?? ''
    folderOf(near(path)).children.push({ name: m.name, folder: path, index, size: m.size })
  })
  const top = hierarchy<Folder | Leaf>(root, (d) => ('children' in d ? d.children : undefined)).sum((d) => ('size' in d ? Math.max(d.size, 2048) : 0))
  const laid = treemap<Folder | Leaf>().size([width, height]).tile(treemapBinary).paddingInner(1).paddingOuter((n) => (n.depth === 1 ? 2 : 0)).paddingTop((n) => (n.depth === 1 && n.y1 - n.y0 > 60 && n.x1 - n.x0 > 60 ? 19 : 0))(top)
  const cells: Cell[] = []
  const regions: Region[] = []
  laid.each((n: HierarchyRectangularNode<Folder | Leaf>) => {
    const box = { x: n.x0, y: n.y0, width: n.x1 - n.x0, height: n.y1 - n.y0 }
    if ('index' in n.data) cells.push({ module: n.data.index, name: n.data.name, folder: n.data.folder, ...box })
    else if (n.depth >= 1) regions.push({ folder: n.data.name, depth: n.depth, ...box })
  })
  return { cells, regions }
}
