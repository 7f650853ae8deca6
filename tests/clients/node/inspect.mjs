// Attaches to a function as Chrome's developer tools do: finds the target, opens its WebSocket, lets the runtime go, and holds
// the handler at its `debugger` statement for longer than the function's timeout. Run with a Node.js that has WebSocket.
const [address, timeoutS] = process.argv.slice(2);

async function target() {
  const until = Date.now() + 20_000;
  for (;;) {
    try {
      const list = await (await fetch(`http://${address}/json/list`)).json();
      if (list.length > 0) return list[0];
    } catch {
      // No instance listens yet.
    }
    if (Date.now() > until) throw new Error('nobody listens');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const { webSocketDebuggerUrl } = await target();
const socket = new WebSocket(webSocketDebuggerUrl);
await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
let serial = 0;
const answers = new Map();
const paused = Promise.withResolvers?.() ?? (() => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
})();
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.id) answers.get(message.id)(message.result);
  if (message.method === 'Debugger.paused') paused.resolve(message.params);
};
const call = (method, params) => new Promise((resolve) => {
  answers.set(++serial, resolve);
  socket.send(JSON.stringify({ id: serial, method, params }));
});
await call('Runtime.enable');
await call('Debugger.enable');
await call('Runtime.runIfWaitingForDebugger');
const { callFrames } = await paused.promise;
const since = Date.now();
const frame = callFrames[0];
const read = await call('Debugger.evaluateOnCallFrame', { callFrameId: frame.callFrameId, expression: 'event.n * 2' });
while (Date.now() - since < Number(timeoutS) * 1000 + 200) await call('Runtime.evaluate', { expression: '1' });
await call('Debugger.resume');
console.log(JSON.stringify({ function: frame.functionName, doubled: read.result.value }));
process.exit(0);
