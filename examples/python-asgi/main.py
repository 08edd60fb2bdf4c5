"""An ASGI application without a framework: streams a count.

ebb deploy count --runtime python --code examples/python-asgi
curl -N 'http://count.default.localhost:8080/?5'

FastAPI, Starlette or Quart applications work alike: name them `app`.
"""

import asyncio


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError("only http")  # no lifespan
    last = int(scope["query_string"] or b"3")
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain")]})
    for i in range(1, last + 1):
        await send({"type": "http.response.body", "body": b"%d\n" % i, "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body"})
