/** Colour C as one reads it: comments, strings, numbers, words, the preprocessor. */
export interface Token { kind: '' | 'comment' | 'string' | 'number' | 'word' | 'macro'; text: string }

const WORDS = new Set(
  ('auto break case char const continue default do double else enum extern float for goto if inline int long register return short signed sizeof ' +
    'static struct switch typedef union unsigned void volatile while bool u8 u16 u32 u64 s8 s16 s32 s64 size_t ssize_t loff_t __init __exit __user').split(' '),
)
// Each alternative begins with another character, and none repeats a repetition: the time is linear in the text.
const TOKEN = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|(?![\s\S]))|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|^[ \t]*#[ \t]*\w+|\b\d[\w.]*|[A-Za-z_]\w*|[\s\S]/gm

export function colour(text: string): Token[] {
  const tokens: Token[] = []
  for (const [piece] of text.matchAll(TOKEN)) {
    const kind = kindOf(piece)
    const last = tokens.at(-1)
    if (last && last.kind === kind) last.text += piece
    else tokens.push({ kind, text: piece })
  }
  return tokens
}

function kindOf(piece: string): Token['kind'] {
  if (piece.startsWith('//') || piece.startsWith('/*')) return 'comment'
  if (piece[0] === '"' || piece[0] === "'") return 'string'
  if (/^[ \t]*#/.test(piece)) return 'macro'
  if (/^\d/.test(piece)) return 'number'
  return WORDS.has(piece) ? 'word' : ''
}
