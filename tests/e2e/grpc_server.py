"""A gRPC function, of Debian's grpcio: what it says is the text of a program for exec."""

GRPC_SERVER = '''#!/usr/bin/python3
import os
import time
from concurrent.futures import ThreadPoolExecutor
import grpc

def unary(request, context):
    told = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", told.get("x-asked", "")),))
    context.set_trailing_metadata((("x-trailing", "behind"),))
    return b"hi " + request

def fails(request, context):
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: \\u00e4")

def dies(request, context):
    os._exit(7)

def slow(request, context):
    time.sleep(30)
    return b""

def many(request, context):
    for i in range(int(request)):
        yield str(i).encode()

def sums(requests, context):
    return str(sum(int(r) for r in requests)).encode()

def talks(requests, context):
    yield b"welcome"  # before anything was said
    for request in requests:
        yield b"you said " + request

class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        name = details.method.rpartition("/")[2]
        make = {"Unary": (grpc.unary_unary_rpc_method_handler, unary),
                "Fails": (grpc.unary_unary_rpc_method_handler, fails),
                "Slow": (grpc.unary_unary_rpc_method_handler, slow),
                "Dies": (grpc.unary_unary_rpc_method_handler, dies),
                "Many": (grpc.unary_stream_rpc_method_handler, many),
                "Sums": (grpc.stream_unary_rpc_method_handler, sums),
                "Talks": (grpc.stream_stream_rpc_method_handler, talks)}.get(name)
        return make and make[0](make[1])

options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
server = grpc.server(ThreadPoolExecutor(64), options=options)
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port("0.0.0.0:" + os.environ["PORT"])
server.start()
server.wait_for_termination()
'''
