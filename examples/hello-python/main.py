"""Greets whoever asks, and counts how often this pod has been asked.

    ebb deploy hello --runtime python --code examples/hello-python
    curl -H 'Host: hello.default.localhost' 'http://127.0.0.1:8080/?name=Ada'
"""

import itertools

answers = itertools.count(1)  # lives as long as its pod: a fresh pod starts at 1


def handle(request):
    name = request.args.get("name", "world")
    return f"Hello from Ebb, {name}! This pod has answered {next(answers)} time(s).\n"
