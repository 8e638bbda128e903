SUMMARY = "A signed update of a terminal: root file system and kernel"
DESCRIPTION = "What RAUC installs into the slot that is not running: signed with the key in SMARTPOS_KEYS."
HOMEPAGE = "https://github.com/smartpos/smartpos"
LICENSE = "Apache-2.0"

inherit bundle features_check

REQUIRED_DISTRO_FEATURES = "rauc"

RAUC_BUNDLE_COMPATIBLE = "smartpos-${MACHINE}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_SLOTS = "rootfs kernel"

RAUC_SLOT_rootfs = "${SMARTPOS_ROOTFS}"
RAUC_SLOT_rootfs[fstype] = "ext4.verity"
RAUC_SLOT_rootfs[imagetype] = "raw"

RAUC_SLOT_kernel = "${SMARTPOS_KERNEL}"
RAUC_SLOT_kernel[type] = "file"
RAUC_SLOT_kernel[file] = "fitImage"
RAUC_SLOT_kernel[rename] = "fitImage.img"
RAUC_SLOT_kernel[imagetype] = "raw"

do_bundle[prefuncs] += "smartpos_require_keys"
python smartpos_require_keys() {
    for variable in ("RAUC_KEY_FILE", "RAUC_CERT_FILE"):
        if not os.path.isfile(d.getVar(variable)):
            bb.fatal("%s is %s, which does not exist: set SMARTPOS_KEYS to the folder of your signing key; "
                     "the layer's README says how to make one" % (variable, d.getVar(variable)))
}
