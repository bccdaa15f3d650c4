"""Beam's pool of Python workers on one address: `python -m deploy.flink.workers 127.0.0.2 50000`.

Beam's own command (`python -m apache_beam.runners.worker.worker_pool_main`) listens on every address of the machine. A pool
knows a worker by its number, and every task manager counts from one: two that share a pool stop each other's workers. So each
has its own, which on one machine means an address for each.
"""

from __future__ import annotations

import atexit
import sys

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor


def serve(host: str, port: int) -> None:
    """Starts and stops workers as a task manager asks, until this process ends."""
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=[("grpc.so_reuseport", 0)])
    pool = BeamFnExternalWorkerPoolServicer(use_process=True, data_buffer_time_limit_ms=-1)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"{host}:{port}")
    server.start()
    atexit.register(server.stop, 0)
    server.wait_for_termination()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
