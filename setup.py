"""Lists the packages: each top-level folder NAME is imported as carbonstream.NAME with all packages in it.

`carbonstream` itself is a namespace and holds no code. All else about the distribution is in pyproject.toml.
"""

from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("schemas", "processors", "connectors", "streams", "api", "ops")
# The board's node_modules bring Python packages of their own (node-gyp).
NOT_OURS = ("board", "board.*")

present = [folder for folder in FOLDERS if Path(folder).is_dir()]
packages = [f"carbonstream.{folder}" for folder in present]
packages += [
    f"carbonstream.{folder}.{package}"
    for folder in present
    for package in find_packages(folder, exclude=NOT_OURS)
]

setup(
    packages=packages,
    package_dir={f"carbonstream.{folder}": folder for folder in present},
)
