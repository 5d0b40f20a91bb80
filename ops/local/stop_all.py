"""`python -m carbonstream.ops.local.stop_all`: stops the servers of every profile of the runtime."""

from carbonstream.ops.local import runtime, servers

if __name__ == "__main__":
    for profile in runtime.profiles(runtime.runtime_folder()):
        print(f"stopping {profile.name}", flush=True)
        servers.stop(profile.name)
