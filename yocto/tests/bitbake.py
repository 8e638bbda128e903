"""bitbake's own parser over our layers, without openembedded-core.

What the layers take from below (classes, configurations) is stood in for by empty files: this finds what is wrong in
our files, not what is wrong between them and openembedded-core. `cargo xtask yocto check --oe DIR` does that.
"""

import sys
import tempfile
import types
from pathlib import Path

# The package from PyPI leaves out the servers of bitbake, which its parser imports and does not use.
for _name in ("hashserv", "hashserv.client", "prserv", "prserv.client", "prserv.serv"):
    sys.modules[_name] = types.ModuleType(_name)

import bb.data  # noqa: E402
import bb.fetch2  # noqa: E402
import bb.parse  # noqa: E402
import bb.siggen  # noqa: E402

YOCTO = Path(__file__).resolve().parent.parent
LAYERS = [YOCTO / name for name in ("meta-smartpos", "meta-smartpos-bsp", "meta-smartpos-distro")]

CLASSES_BELOW = (
    "allarch base bundle cargo cargo-update-recipe-crates core-image features_check image_types_verity "
    "packagegroup patch pkgconfig ptest-cargo systemd useradd"
).split()
CONFIGURATIONS_BELOW = ["conf/machine/qemuarm.conf", "conf/machine/qemuarm64.conf"]

# Of openembedded-core's bitbake.conf, what our recipes expand.
VARIABLES_BELOW = {
    "B": "${WORKDIR}/build",
    "BP": "${BPN}-${PV}",
    "BPN": "${PN}",
    "CARGO_TARGET_SUBDIR": "release",
    "D": "${WORKDIR}/image",
    "DL_DIR": "${TOPDIR}/downloads",
    "S": "${UNPACKDIR}/${BP}",
    "UNPACKDIR": "${WORKDIR}/sources",
    "WORKDIR": "${TOPDIR}/work",
    "bindir": "/usr/bin",
    "datadir": "/usr/share",
    "localstatedir": "/var",
    "nonarch_libdir": "/usr/lib",
    "sysconfdir": "/etc",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
}


class Parser:
    """Holds the stand-ins for the layers below; a context manager that removes them."""

    def __enter__(self):
        self._below = tempfile.TemporaryDirectory()
        below = Path(self._below.name)
        for name in CLASSES_BELOW:
            self._empty(below / "classes" / (name + ".bbclass"))
        for name in CONFIGURATIONS_BELOW:
            self._empty(below / name)
        self.path = ":".join(str(folder) for folder in [*LAYERS, below])
        return self

    def __exit__(self, *_):
        self._below.cleanup()

    @staticmethod
    def _empty(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    def _data(self, overrides):
        data = bb.data.init()
        data.setVar("BBPATH", self.path)
        data.setVar("TOPDIR", self._below.name)
        data.setVar("OVERRIDES", overrides)
        data.setVar("BB_SIGNATURE_HANDLER", "noop")
        for name, value in VARIABLES_BELOW.items():
            data.setVar(name, value)
        bb.parse.siggen = bb.siggen.init(data)
        return data

    def configuration(self, file):
        """The data of a configuration file."""
        data = self._data("")
        data.setVar("LAYERDIR", str(file.parent.parent))
        return bb.parse.handle(str(file), data, True)

    def recipe(self, file, overrides="smartpos-linux:smartpos-qemu"):
        """The data of a recipe, or of an append taken for one."""
        data = self._data(overrides)
        name, _, version = file.stem.partition("_")
        data.setVar("__bbclasstype", "recipe")
        data.setVar("PN", name)
        data.setVar("PV", version.replace("%", "1.0") or "1.0")
        if file.suffix == ".bbappend":
            data.setVar("__BBAPPEND", str(file))
            file = Path(self._below.name, name + ".bb")
            self._empty(file)
        return bb.parse.handle(str(file), data)[""]


def files(pattern):
    """Our files that match, as a sorted list."""
    return sorted(file for layer in LAYERS for file in layer.rglob(pattern))
