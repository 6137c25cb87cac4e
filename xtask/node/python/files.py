"""Prints the files of which this machine's Python consists: its program, its standard library, and what both link."""

import os
import pathlib
import subprocess
import sys
import sysconfig

LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "test", "idlelib", "tkinter", "lib2to3", "ensurepip"}

program = pathlib.Path(sys.executable).resolve()
library = pathlib.Path(sysconfig.get_path("stdlib"))
files = {program}
for folder, folders, names in os.walk(library):
    folders[:] = [name for name in folders if name not in LEFT_OUT and not name.startswith("config-")]
    # The one for windows needs all of X11.
    files.update(pathlib.Path(folder, name) for name in names if not name.startswith("_tkinter"))
linking = [program, *(file for file in files if file.suffix == ".so")]
linked = subprocess.run(["ldd", *linking], capture_output=True, text=True, check=False).stdout
for line in linked.splitlines():
    # Such as `libz.so.1 => /lib/libz.so.1 (0x…)`, and `/lib64/ld-linux-x86-64.so.2 (0x…)` for the loader.
    path = line.split("=>")[-1].split(" (")[0].strip()
    if path.startswith("/") and not path.endswith(":"):
        files.add(pathlib.Path(path))
print("\n".join(sorted(str(file) for file in files if file.is_file())))
