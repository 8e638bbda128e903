SUMMARY = "The whole disk of a new terminal: both slots and the data partition"
DESCRIPTION = "What a factory writes: boot partition, slot A filled, slot B empty, data partition empty."
HOMEPAGE = "https://github.com/smartpos/smartpos"
LICENSE = "Apache-2.0"

inherit core-image features_check

# It is put together from what the distribution names.
REQUIRED_DISTRO_FEATURES = "rauc systemd"

# Only the partitions that the machine's wks file puts together: this image has no files of its own.
PACKAGE_INSTALL = ""
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_FSTYPES = "wic.zst wic.bmap"

do_image_wic[depends] += " \
    ${SMARTPOS_KERNEL}:do_deploy \
    virtual/bootloader:do_deploy \
    ${SMARTPOS_ROOTFS}:do_image_complete \
"
