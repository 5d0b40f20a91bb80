"""`python -m carbonstream.ops.local.clean`: stops every profile's servers and deletes them with their data.

Nothing else: CARBONSTREAM_RUNTIME may name a folder that others use as well. Needs nothing but Python.
"""

import shutil

from carbonstream.ops.local import runtime, servers


def clean() -> None:
    """Leaves the runtime without servers, programs and data; removes it when nothing else is in it."""
    folder = runtime.runtime_folder()
    for profile in runtime.profiles(folder):
        print(f"stopping {profile.name}", flush=True)
        servers.reset(profile.name)
    for name in runtime.SHARED:
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.rmtree(folder / f"{name}.partial", ignore_errors=True)
        (folder / f"{name}.log").unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


if __name__ == "__main__":
    clean()
