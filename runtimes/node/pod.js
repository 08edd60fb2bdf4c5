'use strict';
// A node pod: warms itself up, waits for its code, loads it, serves.
//
// Talks to the Local Controller over the SOCK_SEQPACKET socket at descriptor 3:
//   pod -> controller   "W"          warm: may be given out
//                       "R"          the code is loaded
//                       "E" + text   it could not be loaded, and why
//   controller -> pod   "L" + JSON   load: {"env", "memory", ...}
// The end of that socket ends a pod that still waits. Requests come in at descriptor 4.

const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');
const { pathToFileURL } = require('node:url');
const { listenerFor } = require('./server.js');

const CONTROL = 3;
const LISTEN = 4;
const CODE = '/code';
const MESSAGE_LIMIT = 128 * 1024;
const ERROR_LIMIT = 4096; // bytes of an error's text
const BACKLOG = 4096;
// Once for compiled code, and again after the garbage of that was collected, which also takes
// away what makes code fast.
const WARM = { loads: 20, requests: 50 };
const WARM_AGAIN = { loads: 16, requests: 60 };
// In this order; before them package.json's "main".
const ENTRIES = ['main.mjs', 'main.js', 'main.cjs', 'index.mjs', 'index.js', 'index.cjs'];

const collect = (() => {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc');
  v8.setFlagsFromString('--no-expose-gc');
  return gc;
})();

function send(kind, text = '') {
  fs.writeSync(CONTROL, Buffer.from(kind + text).subarray(0, ERROR_LIMIT));
}

function makeServer(listener) {
  // Every bound on time is the gateway's: an idle connection is the Queue Proxy's own.
  const server = http.createServer(
    { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, maxHeaderSize: 64 * 1024 },
    listener);
  server.timeout = 0;
  return server;
}

function entryOf(folder) {
  let file;
  const description = path.join(folder, 'package.json');
  if (fs.existsSync(description)) { // to be told by an error that it is not there costs more
    try {
      file = JSON.parse(fs.readFileSync(description, 'utf8')).main;
    } catch (error) {
      throw new Error(`package.json: ${error.message}`);
    }
  }
  if (file !== undefined) {
    const main = path.join(folder, String(file));
    for (const name of [main, main + '.js', path.join(main, 'index.js')]) {
      if (fs.statSync(name, { throwIfNoEntry: false })?.isFile()) return name;
    }
    throw new Error(`package.json names "main": ${JSON.stringify(file)}, which the code does not have`);
  }
  for (const name of ENTRIES) {
    const candidate = path.join(folder, name);
    if (fs.existsSync(candidate)) return candidate;
  }
  throw new Error(`the code has none of ${ENTRIES.join(', ')}, and no package.json with "main"`);
}

// A module's function: export default f, export default { fetch }, module.exports = f,
// exports.default, exports.handle (or fetch).
function handlerOf(module, name) {
  const candidates = [module.default, module.default?.default, module];
  for (const candidate of candidates) {
    if (typeof candidate === 'function') return candidate;
    for (const method of ['fetch', 'handle']) {
      if (typeof candidate?.[method] === 'function') return candidate[method].bind(candidate);
    }
  }
  throw new Error(`${name} exports no function: write "export default (request) => ...", ` +
    '"export default { fetch(request) { ... } }" or "module.exports = (request) => ..."');
}

// Node's loader reads modules by its thread pool, several changes of threads for each: on a busy
// machine each of these may wait for its turn. Calls `work` with them read at once. Who keeps
// the function that does it, by an import for one, has node's own afterwards.
async function readingModulesAtOnce(work) {
  const { readFile } = fs.promises;
  let loading = true;
  const read = async (file, options) => {
    const isModule = file instanceof URL && options === undefined && /\.[cm]?js$/.test(file.pathname);
    return loading && isModule ? fs.readFileSync(file) : readFile(file, options);
  };
  fs.promises.readFile = read;
  try {
    return await work();
  } finally {
    loading = false;
    if (fs.promises.readFile === read) fs.promises.readFile = readFile;
  }
}

// `deadline`: ms that it may take; `memory`: bytes that the pod may use; `query`: makes the same
// file another module.
async function load(folder, deadline, memory, query = '') {
  const began = Date.now();
  const entry = entryOf(folder);
  let module;
  try {
    module = await readingModulesAtOnce(() => import(pathToFileURL(entry).href + query));
  } catch (error) {
    if (error instanceof SyntaxError && !error.stack?.includes(folder + '/')) {
      const left = deadline - (Date.now() - began);
      const place = require('./place.js').placeOf(error, entry, folder, left / 2, memory);
      error.stack = `${place}\n\n${error.stack}`;
    }
    throw error;
  }
  return handlerOf(module, path.basename(entry));
}

// Loads main.mjs of this folder as a function's code, and serves dummy requests over the very
// path that real ones take, so that the first real one meets compiled code and touched pages.
let rehearsals = 0;
async function warmUp({ loads, requests }) {
  const handlers = [handlerOf(await import(pathToFileURL(path.join(__dirname, 'warm.js')).href))];
  for (let i = 0; i < loads; ++i) {
    handlers[1] = await load(__dirname, 1000, 1 << 28, `?${rehearsals++}`);
  }
  let count = 0;
  const server = makeServer(listenerFor((request) => handlers[count++ % 2](request)));
  const name = '\0ebb-warm';
  await new Promise((resolve) => server.listen(name, resolve));
  for (let i = 0; i < requests; ++i) {
    await new Promise((resolve, reject) => {
      const client = net.connect(name);
      client.on('error', reject);
      client.on('data', () => client.destroy());
      client.on('close', resolve);
      const body = i % 2 ? 'hello' : '';
      client.write(`${body ? 'POST' : 'GET'} /warm?x=${i} HTTP/1.1\r\nhost: warm.localhost\r\n` +
        `x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-request-id: ${i}\r\n` +
        (body ? `content-length: ${body.length}\r\n` : '') + `\r\n${body}`);
    });
  }
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections?.();
  });
}

// V8 sizes its heap at its start, when the pod's memory is not known yet. What it can
// still take is how far the heap may grow before garbage is collected: the smaller the
// pod's memory, the sooner.
function fitInto(bytes) {
  const mebibytes = bytes / (1 << 20);
  if (mebibytes >= 2048) return;
  v8.setFlagsFromString(`--heap-growing-percent=${mebibytes <= 512 ? 30 : 60}`);
}

// The message, which tables show alone, then where it came from in the function's code.
function describe(error) {
  if (!(error instanceof Error)) return String(error);
  const lines = (error.stack ?? String(error)).split('\n');
  const text = lines.filter((line) => !/^\s+at .*(node:|\/ebb\/runtime\/)/.test(line)).join('\n').trim();
  const title = `${error.name}: ${error.message}`;
  const at = text.indexOf(title); // behind the place, if that is known
  if (at <= 0) return text;
  return `${title}\n${text.slice(0, at).trimEnd()}${text.slice(at + title.length)}`;
}

function receive() {
  const buffer = Buffer.alloc(MESSAGE_LIMIT);
  const size = fs.readSync(CONTROL, buffer); // blocks: a cold pod has nothing else to do
  if (size === 0) process.exit(0);
  return JSON.parse(buffer.toString('utf8', 1, size));
}

async function main() {
  process.on('SIGTERM', () => {
    // As pid 1 there is no default. A function that has a handler of its own decides.
    if (process.listenerCount('SIGTERM') === 1) process.exit(143);
  });
  await warmUp(WARM);

  // Listens before there is code: no request is read while the pod waits below, and
  // one that comes while the code loads waits for it.
  let ready;
  let handle;
  const loaded = new Promise((resolve) => { ready = resolve; });
  const server = makeServer(listenerFor((request) =>
    handle ? handle(request) : loaded.then(() => handle(request))));
  await new Promise((resolve) => server.listen({ fd: LISTEN, backlog: BACKLOG }, resolve));
  collect();
  await warmUp(WARM_AGAIN);
  send('W');

  const message = receive();
  Object.assign(process.env, message.env);
  process.env.PORT = String(message.port);
  try {
    fitInto(message.memory);
    process.chdir(CODE);
    const found = await load(CODE, message.deadline, message.memory);
    handle = (request) => found(request);
  } catch (error) {
    send('E', describe(error));
    process.exit(1);
  }
  send('R');
  ready();
}

main().catch((error) => {
  send('E', `the node runtime (${process.version}, ${os.arch()}) failed: ${describe(error)}`);
  process.exit(1);
});
