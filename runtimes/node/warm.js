'use strict';
// Runs while a pod warms up: the usual things of a CommonJS module.
module.exports = async (request) => {
  const body = request.method === 'POST' ? await request.text() : '';
  return body ? { method: request.method, user: request.headers.get('user-agent'), body } : 'warm\n';
};
