// Runs while a pod warms up: the usual things of an ES module.
export default async function warm(request) {
  const url = new URL(request.url);
  const text = request.method === 'POST' ? await request.text() : '';
  return new Response(`warm ${url.pathname} ${url.searchParams.get('x')} ${text}\n`, {
    headers: { 'content-type': 'text/plain' },
  });
}
