"""What people use instead, each as its own documentation recommends: `python -m tests.benchmarks.peers.<name> IN OUT`."""
