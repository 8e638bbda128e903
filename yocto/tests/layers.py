"""The layers parse, agree with each other, and install what config/install.manifest lists: `cargo xtask yocto --check`."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import jsonschema
import yaml
from kas.configschema import CONFIGSCHEMA

import bitbake

ROOT = bitbake.YOCTO.parent
DISTRO = bitbake.YOCTO / "meta-smartpos-distro"
BSP = bitbake.YOCTO / "meta-smartpos-bsp"

# As cargo_common.bbclass has it: crates come from the folder that the fetcher fills, and from nowhere else.
CARGO_CONFIG = """
[source.bitbake]
directory = "%s"
[source.crates-io]
replace-with = "bitbake"
local-registry = "/nonexistent"
"""

# What only a developer's image may have.
OPEN_DOORS = re.compile("debug|empty|allow-|dropbear|openssh|sshd|gdb|strace|ptest|tools-|dev-pkgs")


def rows(file):
    """The columns of a table with `#` comments; quoted words are one column."""
    return [shlex.split(line, comments=True) for line in file.read_text().splitlines() if shlex.split(line, comments=True)]


def manifest():
    """What is installed: package, mode, source, destination."""
    return [row for row in rows(ROOT / "config/install.manifest") if row[0] != "-"]


def downloaded_crates():
    """The archives that cargo has downloaded on this machine: `cargo fetch --locked` sees to it that none is missing."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    return sorted(home.glob("registry/cache/*/*.crate"))


def table(name):
    """A users or groups table: name, then the other fields."""
    lines = (DISTRO / "files" / name).read_text().splitlines()
    return {fields[0]: fields[1:] for fields in (line.split(":") for line in lines)}


def accounts(data, variable, option):
    """What a recipe's USERADD_PARAM or GROUPADD_PARAM create: names and their ids."""
    packages = (data.getVar("USERADD_PACKAGES") or "").split()
    commands = ";".join(data.getVar("%s:%s" % (variable, package)) or "" for package in packages)
    found = [words for words in map(str.split, commands.split(";")) if words]
    return {words[-1]: words[words.index(option) + 1] for words in found}


class Layers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.parser = cls.enterClassContext(bitbake.Parser())
        cls.smartpos = cls.parser.recipe(bitbake.files("smartpos_*.bb")[0])

    def recipe(self, pattern):
        [file] = bitbake.files(pattern)
        return self.parser.recipe(file)

    def test_every_recipe_append_and_configuration_parses(self):
        for file in bitbake.files("*.bb") + bitbake.files("*.bbappend"):
            with self.subTest(file.name):
                self.parser.recipe(file)
        for file in bitbake.files("*.conf"):
            if "conf" in file.parts and file.parts[-2] != "files":
                with self.subTest(file.name):
                    self.parser.configuration(file)

    def test_no_override_is_the_name_of_a_package(self):
        # It would make FILES:NAME mean FILES.
        packages = {"smartpos", *self.smartpos.getVar("SMARTPOS_PACKAGES").split()}
        for file in bitbake.files("conf/distro/*.conf") + bitbake.files("conf/machine/*.conf"):
            data = self.parser.configuration(file)
            overrides = [data.getVar("DISTRO") or "", file.stem, *(data.getVar("MACHINEOVERRIDES") or "").split(":")]
            self.assertFalse(packages.intersection(overrides), file.name)

    def test_the_recipe_has_the_version_and_licence_of_the_source(self):
        workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
        self.assertEqual(self.smartpos.getVar("PV"), workspace["package"]["version"])
        for checksum in self.smartpos.getVar("LIC_FILES_CHKSUM").split():
            file, md5 = re.fullmatch("file://(.+);md5=(.+)", checksum).groups()
            self.assertEqual(hashlib.md5((ROOT / file).read_bytes()).hexdigest(), md5, file)

    def test_bitbake_knows_a_checksum_of_every_crate(self):
        crates = [uri for uri in self.smartpos.getVar("SRC_URI").split() if uri.startswith("crate://")]
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
        expected = {package["checksum"] for package in lock if "checksum" in package}
        self.assertEqual({bitbake.bb.fetch2.FetchData(uri, self.smartpos).sha256_expected for uri in crates}, expected)

    def test_all_crates_resolve_from_what_the_recipe_fetches(self):
        crates = [uri for uri in self.smartpos.getVar("SRC_URI").split() if uri.startswith("crate://")]
        with tempfile.TemporaryDirectory() as folder:
            downloads, sources = Path(folder, "downloads"), Path(folder, "sources")
            home = sources / "cargo_home"
            for directory in (downloads, home / "bitbake"):
                directory.mkdir(parents=True)
            for archive in downloaded_crates():
                (downloads / archive.name).symlink_to(archive)
            # bitbake's own fetcher compares each archive with its checksum, and unpacks it as do_unpack does.
            data = self.smartpos.createCopy()
            data.setVar("DL_DIR", str(downloads))
            data.setVar("BB_NO_NETWORK", "1")
            fetcher = bitbake.bb.fetch2.Fetch(crates, data)
            fetcher.download()
            fetcher.unpack(str(sources))

            (home / "config.toml").write_text(CARGO_CONFIG % (home / "bitbake"))
            # The lock file, and so the recipe, has optional crates too.
            command = [os.environ.get("CARGO", "cargo"), "metadata", "--frozen", "--all-features", "--format-version", "1"]
            cargo = subprocess.run(
                command, cwd=ROOT, env={**os.environ, "CARGO_HOME": str(home)}, capture_output=True, text=True
            )
            self.assertEqual(cargo.returncode, 0, cargo.stderr)
            resolved = [Path(package["manifest_path"]) for package in json.loads(cargo.stdout)["packages"]]
            foreign = [path for path in resolved if not path.is_relative_to(ROOT)]
            self.assertEqual(len(foreign), len(crates))
            self.assertEqual([path for path in foreign if not path.is_relative_to(home / "bitbake")], [])

    def test_do_install_installs_what_the_manifest_lists_and_each_file_is_in_its_package(self):
        with tempfile.TemporaryDirectory() as folder:
            source, build, image = (Path(folder, name) for name in ("source", "build", "image"))
            programs = build / "target" / self.smartpos.getVar("CARGO_TARGET_SUBDIR")
            programs.mkdir(parents=True)
            for name in self.smartpos.getVar("SMARTPOS_PROGRAMS").split():
                (programs / name).write_text(name)
            for name in ("config", "systemd"):
                shutil.copytree(ROOT / name, source / name)
            for variable, path in (("S", source), ("B", build), ("D", image)):
                self.smartpos.setVar(variable, str(path))
            subprocess.run(["sh", "-euc", self.smartpos.getVar("do_install")], check=True)

            found = {"/" + str(file.relative_to(image)): file for file in image.rglob("*") if file.is_file()}
            self.assertEqual(set(found), {destination for *_, destination in manifest()})
            self.assertEqual(sorted(file.name for file in Path(folder).iterdir()), ["build", "image", "source"])
            for package, mode, _, destination in manifest():
                self.assertEqual(found[destination].stat().st_mode & 0o7777, int(mode, 8), destination)
                self.assertIn(destination, self.smartpos.getVar("FILES:" + package).split())

    def test_every_unit_that_systemd_can_enable_is_enabled_by_its_package_once(self):
        enabled = []
        for package in self.smartpos.getVar("SYSTEMD_PACKAGES").split():
            enabled += self.smartpos.getVar("SYSTEMD_SERVICE:" + package).split()
        units = [file for file in (ROOT / "systemd/system").iterdir() if "[Install]" in file.read_text().splitlines()]
        self.assertEqual(sorted(enabled), sorted(file.name for file in units))

    def test_users_are_those_of_sysusers_with_the_same_ids(self):
        wanted = {"u": {}, "g": {}}
        for kind, name, number, *_ in rows(ROOT / "systemd/sysusers.d/smartpos.conf"):
            wanted[kind][name] = number
        self.assertEqual(accounts(self.smartpos, "USERADD_PARAM", "--uid"), wanted["u"])
        self.assertEqual(accounts(self.smartpos, "GROUPADD_PARAM", "--gid"), wanted["g"])
        users, groups = table("smartpos-passwd"), table("smartpos-group")
        for name, number in wanted["u"].items():
            self.assertEqual((users[name][1], groups[name][1]), (number, number), name)
        for name, number in wanted["g"].items():
            self.assertEqual(groups[name][1], number, name)

    def test_an_id_belongs_to_one_name_and_every_user_has_its_group(self):
        users, groups = table("smartpos-passwd"), table("smartpos-group")
        for entries in (users, groups):
            ids = [fields[1] for fields in entries.values()]
            self.assertEqual(len(ids), len(set(ids)))
        for name, fields in users.items():
            self.assertEqual(fields[2], groups[name][1], name)

    def test_the_image_that_is_sold_has_no_way_in(self):
        image = self.recipe("smartpos-image.bb")
        words = (image.getVar("IMAGE_FEATURES") + " " + image.getVar("IMAGE_INSTALL")).split()
        ours = {"packagegroup-smartpos-tools"}
        self.assertEqual([word for word in words if OPEN_DOORS.search(word) and word not in ours], [])
        self.assertIn("read-only-rootfs", words)
        # The same words are found where they are.
        image = self.recipe("smartpos-image-dev.bb")
        self.assertTrue(OPEN_DOORS.search(image.getVar("IMAGE_FEATURES")))

    def test_every_partition_that_is_named_is_on_the_disk(self):
        [disk] = bitbake.files("*.wks.in")
        partitions = set(re.findall(r"--part-name (\S+)", disk.read_text()))
        named = set()
        for file in bitbake.files("system.conf") + bitbake.files("verity") + bitbake.files("*.mount"):
            named |= set(re.findall(r"by-partlabel/([a-z-]+)|partition=([a-z-]+)", file.read_text()))
        for file in bitbake.files("boot.cmd"):
            named |= set(re.findall(r"setenv kernel ([a-z-]+)()", file.read_text()))
        self.assertEqual({first or second for first, second in named} | {"boot"}, partitions)

    def test_a_slot_is_marked_good_after_every_daemon_has_come_up(self):
        daemons = {row[3].removeprefix("/usr/bin/") + ".service" for row in manifest() if row[3].startswith("/usr/bin/smartpos-")}
        [drop_in] = bitbake.files("boot-complete.conf")
        lines = dict(line.split("=", 1) for line in drop_in.read_text().splitlines() if "=" in line)
        self.assertEqual({name: set(units.split()) for name, units in lines.items()}, {"Requires": daemons, "After": daemons})

    def test_scripts_of_the_shell_have_no_syntax_error(self):
        for file in bitbake.files("verity"):
            subprocess.run(["sh", "-n", file], check=True)
        for file in bitbake.files("*.bb") + bitbake.files("*.bbappend"):
            data = self.parser.recipe(file)
            for name in data:
                if data.getVarFlag(name, "func") and not data.getVarFlag(name, "python"):
                    with self.subTest(file.name, function=name):
                        subprocess.run(["sh", "-n"], input=data.getVar(name) or "", text=True, check=True)

    def test_a_layer_says_whom_to_write_to_and_how_to_send_a_patch(self):
        for layer in bitbake.LAYERS:
            readme = (layer / "README.md").read_text().lower()
            for word in ("maintainer", "patch", "@", "wrynose"):
                self.assertIn(word, readme, layer.name)
            for file in ("LICENSE", "MAINTAINERS", "SECURITY.md"):
                self.assertTrue((layer / file).is_file(), layer / file)


class Kas(unittest.TestCase):
    def files(self):
        return {file: yaml.safe_load(file.read_text()) for file in sorted((bitbake.YOCTO / "kas").glob("*.yml"))}

    def test_every_file_fits_the_schema_and_includes_files_that_exist(self):
        for file, content in self.files().items():
            with self.subTest(file.name):
                jsonschema.validate(content, CONFIGSCHEMA)
                for include in content["header"].get("includes", []):
                    self.assertTrue((file.parent / include).is_file(), include)

    def test_every_repository_but_ours_is_pinned_and_our_layers_exist(self):
        repositories = yaml.safe_load((bitbake.YOCTO / "kas/base.yml").read_text())["repos"]
        for layer in repositories.pop("smartpos")["layers"]:
            self.assertTrue((ROOT / layer / "conf/layer.conf").is_file(), layer)
        for name, repository in repositories.items():
            self.assertRegex(repository["commit"], "^[0-9a-f]{40}$", name)

    def test_machines_distributions_and_targets_exist(self):
        recipes = {file.name.removesuffix(".bb").split("_")[0] for file in bitbake.files("*.bb")}
        for file, content in self.files().items():
            with self.subTest(file.name):
                if machine := content.get("machine"):
                    self.assertTrue((BSP / "conf/machine" / (machine + ".conf")).is_file())
                if distro := content.get("distro"):
                    self.assertTrue((DISTRO / "conf/distro" / (distro + ".conf")).is_file())
                self.assertLessEqual(set(content.get("target", [])), recipes)


if __name__ == "__main__":
    unittest.main()
