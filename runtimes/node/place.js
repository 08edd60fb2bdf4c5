'use strict';
// Where a module cannot be parsed. Node's errors say it of CommonJS, not of ECMAScript
// modules: there the stack holds node's own functions alone. `node --check`, which runs
// nothing of the file, prints it. Used by starts that have failed already.

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const PATIENCE = 3000; // ms at most, for all files together
const MOST_FILES = 32;
const LEAST_MEMORY = 128 << 20; // bytes of the pod: another node needs its part
const SOURCE = /\.[cm]?js$/;

// The entry first, then the rest of the function's own code.
function* sources(entry, folder, deadline) {
  yield entry;
  const folders = [folder];
  while (folders.length > 0 && Date.now() < deadline) {
    const here = folders.shift();
    for (const found of fs.readdirSync(here, { withFileTypes: true })) {
      const name = path.join(here, found.name);
      if (found.isDirectory() && found.name !== 'node_modules' && !found.name.startsWith('.')) folders.push(name);
      else if (found.isFile() && SOURCE.test(name) && name !== entry) yield name;
    }
  }
}

// "FILE:LINE", the line and a mark below the place, of the first file that gives the same
// error as `error`, a SyntaxError; '' if none is found within `patience` ms, or if looking
// would take what a pod of `memory` bytes does not have.
function placeOf(error, entry, folder, patience, memory) {
  if (memory > 0 && memory < LEAST_MEMORY) return '';
  try {
    return search(error, entry, folder, patience);
  } catch {
    return ''; // such as a folder that cannot be read: the error itself counts
  }
}

function search(error, entry, folder, patience) {
  const deadline = Date.now() + Math.floor(Math.min(PATIENCE, patience)); // whole ms, as spawnSync asks
  const title = `SyntaxError: ${error.message}`;
  let files = 0;
  for (const file of sources(entry, folder, deadline)) {
    const left = deadline - Date.now();
    if (left <= 0 || ++files > MOST_FILES) break;
    const said = spawnSync(process.execPath, ['--check', file],
      { encoding: 'utf8', timeout: left, stdio: ['ignore', 'ignore', 'pipe'] }).stderr ?? '';
    const at = said.indexOf(title);
    const begin = said.indexOf(`${file}:`);
    if (at > begin && begin >= 0) return said.slice(begin, at).trimEnd();
  }
  return '';
}

module.exports = { placeOf };
