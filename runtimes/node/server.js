'use strict';
// From node's HTTP server to web-standard functions: Request in, Response (or what
// stands for one) out.

const PIECE_WAIT = () => new Promise((resolve) => setImmediate(resolve));

const TEXT = 'text/plain; charset=utf-8';
const BYTES = 'application/octet-stream';

class BadAnswer extends Error {}

// --- Request ---

// The body as a web stream; nothing is read before somebody pulls. Once the answer has
// been sent the rest is dropped: a client may look for its answer only when all is sent.
function bodyOf(incoming, outgoing) {
  let ended = false;
  const drop = () => {
    ended = true;
    incoming.removeAllListeners('data');
    incoming.resume();
  };
  return new ReadableStream({
    start(controller) {
      incoming.pause();
      incoming.on('data', (piece) => {
        controller.enqueue(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
        if (controller.desiredSize <= 0) incoming.pause();
      });
      incoming.on('end', () => {
        if (ended) return;
        ended = true;
        controller.close();
      });
      incoming.on('close', () => {
        if (!ended) controller.error(new Error('the client went away while it sent the body'));
        ended = true;
      });
      incoming.on('error', () => {}); // 'close' follows
      outgoing.on('finish', () => {
        if (ended) return;
        controller.error(new Error('the answer has been sent: the rest of the body was dropped'));
        drop();
      });
    },
    pull() {
      incoming.resume();
    },
    cancel: drop,
  }, { highWaterMark: 0 });
}

function requestOf(incoming, outgoing, signal) {
  const raw = incoming.rawHeaders;
  const headers = new Headers();
  for (let i = 0; i < raw.length; i += 2) headers.append(raw[i], raw[i + 1]);
  const scheme = incoming.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
  // A target may be a whole URL, or "*".
  const target = incoming.url.startsWith('/') ? incoming.url : '/' + incoming.url.replace(/^\w+:\/\/[^/]*\/?/, '');
  const options = { method: incoming.method, headers, signal };
  const hasBody = incoming.headers['transfer-encoding'] !== undefined ||
    Number(incoming.headers['content-length'] ?? 0) > 0;
  if (hasBody && incoming.method !== 'GET' && incoming.method !== 'HEAD') {
    options.body = bodyOf(incoming, outgoing);
    options.duplex = 'half';
  } else {
    incoming.resume();
  }
  return new Request(`${scheme}://${incoming.headers.host ?? 'localhost'}${target}`, options);
}

// --- Response ---

function writeHead(outgoing, status, headers) {
  outgoing.statusCode = status;
  for (const [name, value] of headers) {
    if (name === 'connection' || name === 'transfer-encoding') continue;
    if (name === 'set-cookie') outgoing.appendHeader?.(name, value) ?? outgoing.setHeader(name, value);
    else outgoing.setHeader(name, value);
  }
}

function answer(outgoing, status, type, body) {
  if (!outgoing.hasHeader('content-type')) outgoing.setHeader('content-type', type);
  outgoing.setHeader('content-length', Buffer.byteLength(body));
  outgoing.statusCode = status;
  outgoing.end(body);
}

function drained(outgoing) {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off('drain', done);
      outgoing.off('close', done);
      resolve();
    };
    outgoing.on('drain', done);
    outgoing.on('close', done);
  });
}

function bytesOf(piece) {
  if (typeof piece === 'string') return piece;
  if (piece instanceof Uint8Array) return piece;
  if (piece instanceof ArrayBuffer) return new Uint8Array(piece);
  if (ArrayBuffer.isView(piece)) return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  throw new BadAnswer(`the function streamed ${typeof piece}: expected strings or Uint8Arrays`);
}

// The content-length that the function set, undefined without one.
function declaredLength(outgoing) {
  const text = outgoing.getHeader('content-length');
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new BadAnswer(`the content-length ${JSON.stringify(text)} is no number`);
  return Number(text);
}

function complaint(declared, given) {
  return `the answer declared ${declared} bytes (content-length) and gave ${given}`;
}

// Sends a body that is known as a whole before its head has left.
function endWhole(outgoing, declared, piece) {
  const given = Buffer.byteLength(piece);
  if (given < declared) throw new BadAnswer(complaint(declared, given));
  if (given > declared) return endLong(outgoing, declared, piece, declared, given);
  outgoing.setHeader('content-length', given);
  outgoing.end(piece);
}

// Sends no more of a body than the `left` bytes that its head still allows.
function endLong(outgoing, declared, piece, left, given) {
  log(`${complaint(declared, given)}: what is more is not sent`);
  outgoing.end(Buffer.from(piece).subarray(0, left));
}

// Sends what a reader ({ read, cancel }) gives. A body that is whole at once gets its
// length; else it is sent piece by piece. With `typed` the first piece says the content type.
async function stream(outgoing, reader, typed = false) {
  const declared = declaredLength(outgoing);
  const first = await reader.read();
  if (typed) outgoing.setHeader('content-type', typeof first.value === 'string' ? TEXT : BYTES);
  if (first.done) {
    endWhole(outgoing, declared, '');
    return;
  }
  const readNext = () => {
    const reading = reader.read();
    reading.catch(() => {}); // awaited below, but perhaps later than it fails
    return reading;
  };
  let next = readNext();
  let piece = bytesOf(first.value);
  let second;
  next.then((result) => { second = result; }, () => {});
  await PIECE_WAIT();
  if (second?.done) {
    endWhole(outgoing, declared, piece);
    return;
  }
  let given = 0;
  for (;;) {
    const before = given;
    given += Buffer.byteLength(piece);
    if (given > declared) {
      endLong(outgoing, declared, piece, declared - before, given);
      await reader.cancel();
      return;
    }
    if (!outgoing.write(piece) && !outgoing.destroyed) await drained(outgoing);
    if (outgoing.destroyed) {
      await reader.cancel();
      return;
    }
    const result = await next;
    if (result.done) break;
    piece = bytesOf(result.value);
    next = readNext();
  }
  if (given < declared) throw new BadAnswer(complaint(declared, given));
  outgoing.end();
}

function readerOf(value) {
  if (typeof value.getReader === 'function') {
    const reader = value.getReader();
    return { read: () => reader.read(), cancel: () => reader.cancel().catch(() => {}) };
  }
  const iterator = (value[Symbol.asyncIterator] ?? value[Symbol.iterator]).call(value);
  return { read: async () => iterator.next(), cancel: async () => iterator.return?.() };
}

// An async iterable, or a generator: other sync iterables, such as arrays, are JSON.
function isStream(value) {
  return typeof value.getReader === 'function' || typeof value[Symbol.asyncIterator] === 'function' ||
    (typeof value[Symbol.iterator] === 'function' && typeof value.next === 'function');
}

async function respond(outgoing, isHead, result) {
  if (result instanceof Response) {
    writeHead(outgoing, result.status || 502, result.headers);
    if (result.status === 0) throw new BadAnswer('the function answered Response.error()');
    if (isHead || result.body === null) {
      if (isHead) await result.body?.cancel();
      else if (result.status !== 204 && result.status !== 304) outgoing.setHeader('content-length', 0);
      outgoing.end();
      return;
    }
    await stream(outgoing, readerOf(result.body));
  } else if (result === undefined || result === null) {
    outgoing.statusCode = 204;
    outgoing.end();
  } else if (typeof result === 'string') {
    answer(outgoing, 200, TEXT, result);
  } else if (result instanceof ArrayBuffer || ArrayBuffer.isView(result)) {
    answer(outgoing, 200, BYTES, bytesOf(result));
  } else if (typeof result === 'function' || typeof result === 'symbol') {
    throw new BadAnswer(`the function answered a ${typeof result}: expected a Response, a string, ` +
      'bytes, a stream or an object for JSON');
  } else if (isStream(result)) {
    await stream(outgoing, readerOf(result), true);
  } else if (result instanceof Error) {
    throw result;
  } else {
    const body = JSON.stringify(result instanceof Map ? Object.fromEntries(result) : result);
    if (body === undefined) throw new BadAnswer('the function answered what is no JSON');
    answer(outgoing, 200, 'application/json', body);
  }
}

function log(line) {
  console.error(`ebb: ${line}`);
}

// Answers for a function that threw; the stack goes to its log.
function report(outgoing, error) {
  if (error instanceof BadAnswer) log(error.message);
  else console.error(error);
  if (outgoing.headersSent) {
    // Only a cut tells the client; what was written before leaves first.
    outgoing.socket?.destroySoon();
    return;
  }
  for (const name of outgoing.getHeaderNames()) outgoing.removeHeader(name);
  const text = error instanceof BadAnswer ? error.message
    : `the function threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
  answer(outgoing, 502, TEXT, text.split('\n')[0] + '\n');
}

// A listener for node's http.Server that calls `handle(request)`.
function listenerFor(handle) {
  return async (incoming, outgoing) => {
    const gone = new AbortController();
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) gone.abort(new Error('the client went away'));
    });
    outgoing.on('error', () => {}); // 'close' follows
    let request;
    try {
      request = requestOf(incoming, outgoing, gone.signal);
    } catch (error) {
      // TRACE and the like, or what is no URL.
      answer(outgoing, 400, TEXT, `not a web Request: ${error.message}\n`);
      return;
    }
    try {
      await respond(outgoing, incoming.method === 'HEAD', await handle(request));
    } catch (error) {
      if (!outgoing.destroyed) report(outgoing, error);
      else if (!gone.signal.aborted || error !== gone.signal.reason) console.error(error);
    }
  };
}

module.exports = { listenerFor };
