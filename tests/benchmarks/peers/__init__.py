"""What people use instead, each as its own documentation recommends, for the same job: `python -m tests.benchmarks.peers.<name>`."""
