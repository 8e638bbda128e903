SUMMARY = "Opens the root file system of the booted slot"
DESCRIPTION = "Holds the root hash of the image that was built with it, and mounts no other."
HOMEPAGE = "https://github.com/smartpos/smartpos"
LICENSE = "Apache-2.0"

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "rauc systemd"

PACKAGE_INSTALL = " \
    base-passwd \
    cryptsetup \
    initramfs-framework-base \
    initramfs-module-smartpos-verity \
    initramfs-module-udev \
    ${VIRTUAL-RUNTIME_base-utils} \
"
PACKAGE_EXCLUDE = "kernel-image-*"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_NAME_SUFFIX = ""
IMAGE_FSTYPES = "${INITRAMFS_FSTYPES}"
IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"

# The bootloader checks the kernel's signature, the kernel's initramfs holds the hash, the hash covers every block.
do_rootfs[depends] += "${SMARTPOS_ROOTFS}:do_image_complete"
ROOTFS_POSTPROCESS_COMMAND += "smartpos_install_root_hash"
smartpos_install_root_hash() {
    install -D -m 0644 "${DEPLOY_DIR_IMAGE}/${SMARTPOS_ROOTFS}-${MACHINE}.rootfs.ext4.verity-params" \
        "${IMAGE_ROOTFS}${sysconfdir}/verity-params"
}
