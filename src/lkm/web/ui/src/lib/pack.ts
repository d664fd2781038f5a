/** A text as a short string for an address, and back. */
export async function pack(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'))
  const octets = new Uint8Array(await new Response(stream).arrayBuffer())
  return btoa(String.fromCharCode(...octets)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

const LARGEST = 200_000

export async function unpack(packed: string): Promise<string> {
  const octets = Uint8Array.from(atob(packed.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
  const reader = new Blob([octets]).stream().pipeThrough(new DecompressionStream('deflate-raw')).pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text
    text += value
    if (text.length > LARGEST) throw new Error('The source in this address is too long.')
  }
}
