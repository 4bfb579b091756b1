// Node's `ws`: each message is sent to each client, as its documentation's broadcast has it.
//
// Run as `node node_ws.mjs PORT NATS_PORT` where `ws` can be found. Core NATS is read by hand: it is two lines.

import { createRequire } from 'node:module'
import net from 'node:net'
import process from 'node:process'

const { WebSocketServer, WebSocket } = createRequire(`${process.cwd()}/`)('ws')
const [port, natsPort] = process.argv.slice(2).map(Number)

const server = new WebSocketServer({ host: '127.0.0.1', port, path: '/ws', perMessageDeflate: false, backlog: 4096 })

function broadcast(payload) {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(payload, { binary: false })
  }
}

let held = Buffer.alloc(0)
const nats = net.connect(natsPort, '127.0.0.1', () => {
  nats.setNoDelay(true)
  nats.write('CONNECT {"verbose":false,"pedantic":false}\r\nSUB odin.token.> 1\r\n')
})
nats.on('data', (chunk) => {
  held = held.length ? Buffer.concat([held, chunk]) : chunk
  let at = 0
  for (;;) {
    const end = held.indexOf('\r\n', at)
    if (end < 0) break
    const line = held.toString('latin1', at, end)
    if (line.startsWith('MSG ')) {
      const size = Number(line.slice(line.lastIndexOf(' ') + 1))
      if (held.length < end + size + 4) break
      broadcast(held.subarray(end + 2, end + 2 + size))
      at = end + size + 4
      continue
    }
    if (line === 'PING') nats.write('PONG\r\n')
    at = end + 2
  }
  held = held.subarray(at)
})
nats.on('close', () => process.exit(1))
