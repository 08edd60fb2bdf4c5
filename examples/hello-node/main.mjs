// ebb deploy hello --runtime node --code examples/hello-node
export default async function (request) {
  const { searchParams } = new URL(request.url);
  return new Response(`Hello, ${searchParams.get('name') ?? 'world'}!\n`, {
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  });
}
