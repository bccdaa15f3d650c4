"""Build and dependency metadata of seqcols.

Ranges live here; the exact versions and their hashes live in ``requirements.lock`` (``make lock``).
"""

from setuptools import find_packages, setup

# Emulators of S3 (flask is what moto's server needs) and of Cloud Storage.
BUCKETS = ["boto3", "moto", "flask", "flask-cors", "gcp-storage-emulator"]

setup(
    name="seqcols",
    version="0.2.0",
    description="Dense, masked, normalised sequence columns for training: an Apache Beam batch pipeline.",
    license="Apache-2.0",
    license_files=["LICENSE"],
    # From below, protobuf: on 3.10 Beam and tf.Transform want different ones. From above, wheels: TensorFlow has none for 3.14.
    python_requires=">=3.11,<3.14",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    package_dir={"": "."},
    packages=find_packages(include=["pipeline*", "seqcols*", "transforms*"]),
    package_data={"": ["py.typed", "*.json", "*.yaml", "*.html.j2"]},
    include_package_data=False,
    zip_safe=False,
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "tensorflow-transform>=1.21,<1.22",
        "pyarrow>=25,<26",
        "fastavro",
        "orjson",
        "google-crc32c",
        "backports.zstd",
        "click",
        "rich",
        "pydantic>=2",
        "ruamel.yaml",
        "jinja2",
        "numba>=0.68,<0.69",
        "numpy",
        "pandas<3",  # Beam 2.77's readers of CSV and JSON ask DataFrame for `first`, which pandas 3 has no more
    ],
    extras_require={
        "s3": ["boto3"],
        "test": [
            "pytest",
            "pytest-xdist",
            "pytest-timeout",
            "pytest-cov",
            "hypothesis",
            "jsonschema",
            "tf_keras",
            "psutil",
            "selenium",
            *BUCKETS,
        ],
        "lint": ["ruff", "mypy", "import-linter"],
        "docs": ["pdoc", "zensical>=0.0.73,<0.1"],
        "release": ["build"],
        "torch": ["torch>=2.3"],  # the first that takes NumPy 2
        "bench": ["polars", "altair", "vl-convert-python"],
    },
    entry_points={"console_scripts": ["seqcols = seqcols.__main__:main"]},
)
