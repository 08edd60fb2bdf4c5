# What a cold pod loads and serves to warm itself up: see rehearse() in pod.py.
import json


def handle(request):
    return 'warm %s' % request.path
